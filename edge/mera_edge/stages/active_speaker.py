"""Active speaker detection: the person in view whose mouth moves while speech is heard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Crop = NDArray[np.float32]
"""``[S, S]`` greyscale, from brow to chin."""

_MOUTH = ((0.62, 0.94), (0.25, 0.75))
_EYES = ((0.20, 0.54), (0.17, 0.83))
"""Row and column ranges, as fractions of the crop's side."""
_SEARCH_RADIUS = 0.06
"""Largest shift that is compensated, as a fraction of the crop's side: boxes are not exact."""
_NOISE = 0.01
"""Residual of a face at rest, due to camera noise."""

_TIME_CONSTANT_S = 1.0
"""Of the exponential moving average; about the time that a change of speaker takes."""
_SWITCH_MARGIN = 0.3
"""How much higher another person's score must be to become the speaker (logarithm of a ratio)."""
_LONGEST_GAP_S = 1.0
"""Crops that are further apart are not compared."""


@dataclass(slots=True)
class _Mouth:
    crop: Crop
    seen_s: float
    with_speech: float | None = None
    in_silence: float | None = None

    @property
    def score(self) -> float | None:
        """Motion during speech minus motion in silence, which cancels chewing."""
        if self.with_speech is None:
            return None
        return self.with_speech - max(0.0, self.in_silence or 0.0)


class ActiveSpeakerDetector:
    """Finds the active speaker among the people in view.

    Motion is the difference between two crops that remains after the best alignment. It is that of
    the mouth relative to that of the eyes, because nodding and jitter of the box move both.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._mouths: dict[int, _Mouth] = {}
        self._speaker: int | None = None

    def choose(self, faces: Mapping[int, Crop], at_s: float, speech: bool) -> int | None:
        """Return the person in the image who speaks, or who spoke last.

        Args:
            faces: crop by person.
            at_s: stream time of the image, in seconds.
            speech: whether speech is heard.

        Returns:
            ``None`` if nobody in the image has been seen speaking.
        """
        mouths = {p: self._moved(p, crop, at_s, speech) for p, crop in faces.items()}
        self._mouths = mouths | {
            person: mouth
            for person, mouth in self._mouths.items()
            if person not in mouths and at_s - mouth.seen_s <= _LONGEST_GAP_S
        }
        if self._speaker not in self._mouths:
            self._speaker = None
        scores = {p: mouth.score for p, mouth in mouths.items() if mouth.score is not None}
        if speech and scores:
            best = max(scores, key=lambda person: scores[person])
            now = scores.get(self._speaker) if self._speaker is not None else None
            if scores[best] > (0.0 if now is None else now + _SWITCH_MARGIN):
                self._speaker = best
        return self._speaker if self._speaker in faces else None

    def _moved(self, person: int, crop: Crop, at_s: float, speech: bool) -> _Mouth:
        before = self._mouths.get(person)
        if before is None or not 0 < at_s - before.seen_s <= _LONGEST_GAP_S:
            return _Mouth(crop, at_s)
        mouth, eyes = (_NOISE + _residual(before.crop, crop, part) for part in (_MOUTH, _EYES))
        motion = math.log(mouth / eyes)
        share = 1 - math.exp((before.seen_s - at_s) / _TIME_CONSTANT_S)
        old = before.with_speech if speech else before.in_silence
        new = motion if old is None else old + share * (motion - old)
        if speech:
            return _Mouth(crop, at_s, new, before.in_silence)
        return _Mouth(crop, at_s, before.with_speech, new)


def _residual(old: Crop, new: Crop, part: tuple[tuple[float, float], ...]) -> float:
    """Return the difference of a part of the face after the best alignment, from 0 to 2."""
    import cv2

    side = len(old)
    (top, bottom), (left, right) = ([round(share * side) for share in pair] for pair in part)
    radius = math.ceil(_SEARCH_RADIUS * side)
    window = new[top - radius : bottom + radius, left - radius : right + radius]
    correlation = cv2.matchTemplate(window, old[top:bottom, left:right], cv2.TM_CCOEFF_NORMED)
    return 1 - float(correlation.max())
