"""Who of several people in view is speaking: whose mouth moves when speech is heard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Crop = NDArray[np.float32]
"""``[S, S]``, grey, from brow to chin."""

_MOUTH = ((0.62, 0.94), (0.25, 0.75))
_EYES = ((0.20, 0.54), (0.17, 0.83))
"""Rows and columns, as shares of the crop's side."""
_REACH = 0.06
"""How far the head may have moved in the crop, as a share of its side: a box is never exact."""
_NOISE = 0.01
"""What is left of a face at rest by the camera's noise."""

_OVER_S = 1.0
"""Time constant of the mean over time, and so about what a change of speaker takes."""
_CLEARLY = 0.3
"""By how much the mouth of another must move more to take over (logarithm of a ratio)."""
_LONGEST_GAP_S = 1.0
"""Crops that are further apart say nothing about motion."""


@dataclass(slots=True)
class _Mouth:
    crop: Crop
    seen_s: float
    with_speech: float | None = None
    in_silence: float | None = None

    @property
    def score(self) -> float | None:
        """How much more it moves while speech is heard: whoever chews moves it all the time."""
        if self.with_speech is None:
            return None
        return self.with_speech - max(0.0, self.in_silence or 0.0)


class ActiveSpeakerDetector:
    """Chooses among the people in view.

    Motion is what the best shift of the older crop does not explain, of the mouth over that of the
    eyes: heads that nod and boxes that tremble move both.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everyone: the next picture is the first of a new stream."""
        self._mouths: dict[int, _Mouth] = {}
        self._speaker: int | None = None

    def choose(self, faces: Mapping[int, Crop], at_s: float, speech: bool) -> int | None:
        """Return who speaks, or spoke last, of the people in a picture.

        Args:
            faces: crop by person.
            at_s: stream time of the picture, in seconds.
            speech: whether speech is heard.

        Returns:
            ``None`` where nobody in the picture was seen to speak.
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
            if scores[best] > (0.0 if now is None else now + _CLEARLY):
                self._speaker = best
        return self._speaker if self._speaker in faces else None

    def _moved(self, person: int, crop: Crop, at_s: float, speech: bool) -> _Mouth:
        before = self._mouths.get(person)
        if before is None or not 0 < at_s - before.seen_s <= _LONGEST_GAP_S:
            return _Mouth(crop, at_s)
        mouth, eyes = (_NOISE + _unexplained(before.crop, crop, part) for part in (_MOUTH, _EYES))
        motion = math.log(mouth / eyes)
        share = 1 - math.exp((before.seen_s - at_s) / _OVER_S)
        old = before.with_speech if speech else before.in_silence
        new = motion if old is None else old + share * (motion - old)
        if speech:
            return _Mouth(crop, at_s, new, before.in_silence)
        return _Mouth(crop, at_s, before.with_speech, new)


def _unexplained(old: Crop, new: Crop, part: tuple[tuple[float, float], ...]) -> float:
    """Return how much of a part of a face, from 0 to 2, is elsewhere after the best shift."""
    import cv2

    side = len(old)
    (top, bottom), (left, right) = ([round(share * side) for share in pair] for pair in part)
    reach = math.ceil(_REACH * side)
    around = new[top - reach : bottom + reach, left - reach : right + reach]
    likeness = cv2.matchTemplate(around, old[top:bottom, left:right], cv2.TM_CCOEFF_NORMED)
    return 1 - float(likeness.max())
