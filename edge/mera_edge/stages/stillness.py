"""Whether a face moves at all: nobody keeps as still as a photograph."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.face import Box, Image

STILL_AFTER_S = 20.0
"""A face that has not moved for so long is taken for a picture: a poster, a photograph, a paused
screen. So is a sleeping person's, which has no expression to be read either."""

_CHANGED = 0.005
"""1 minus the correlation of grey levels from which a face has moved: a shift by one to three
hundredths of its side, two to six millimetres, is enough (benchmarks/stillness.py)."""
_AVERAGED_S = 1.0
"""Time constant of the mean picture, in which the camera's noise averages out, and the time that it
takes to settle."""
_SIDE = 48


@dataclass(slots=True)
class _Face:
    box: Box
    since_s: float
    seen_s: float
    mean: NDArray[np.float32]
    settled: NDArray[np.float32] | None = None


class StillnessDetector:
    """Watches the same part of the picture for as long as the face in it does not move."""

    def __init__(self) -> None:
        self._faces: dict[int, _Face] = {}

    def keep(self, people: Collection[int]) -> None:
        """Forget everyone else."""
        self._faces = {who: face for who, face in self._faces.items() if who in people}

    def is_still(self, person: int, image: Image, box: Box, now_s: float) -> bool:
        """Return whether a face has not moved for `STILL_AFTER_S`.

        Args:
            person: whose face it is.
            image: ``[H, W, 3]``, blue first.
            box: where the face is in it.
            now_s: stream time, in seconds.
        """
        face = self._faces.get(person)
        if face is None or _has_moved(face, image, now_s):
            self._faces[person] = _Face(box, now_s, now_s, _grey(image, box))
            return False
        return now_s - face.since_s >= STILL_AFTER_S


def _has_moved(face: _Face, image: Image, now_s: float) -> bool:
    """Take the next picture, and return whether it differs from the first ones of a still face."""
    share = -math.expm1((face.seen_s - now_s) / _AVERAGED_S)
    face.mean += np.float32(share) * (_grey(image, face.box) - face.mean)
    face.seen_s = now_s
    if now_s - face.since_s < _AVERAGED_S:
        return False
    pattern = _pattern(face.mean)
    if face.settled is None:
        face.settled = pattern
    return 1 - float(np.vdot(pattern, face.settled)) > _CHANGED


def _grey(image: Image, box: Box) -> NDArray[np.float32]:
    import cv2

    left, top = max(0, round(box.x)), max(0, round(box.y))
    right, bottom = round(box.x + box.width), round(box.y + box.height)
    part = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    return cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _pattern(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return grey levels without what a lamp changes: of mean 0 and length 1."""
    rest = grey - grey.mean()
    unit: NDArray[np.float32] = rest / max(float(np.linalg.norm(rest)), 1e-6)
    return unit
