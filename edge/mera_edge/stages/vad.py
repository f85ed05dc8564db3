"""Whether somebody speaks."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE

FRAME = SAMPLE_RATE // 100
"""Samples to a decision: 10 ms."""

RISE_DB, FALL_DB = 10.0, 6.0
"""Above the noise floor: speech begins at the first and goes on down to the second."""
ONSET, HANGOVER = 5, 60
"""Frames that must be loud for speech to begin, and quiet for it to end: pauses between words
are part of an utterance."""
QUIETEST_DB, LOUDEST_FLOOR_DB = -65.0, -20.0
"""Of full scale. Nothing below the first is speech; no floor rises above the second."""

_BLOCK = 50
_BLOCKS = 8


class VoiceActivity:
    """A gate on the energy of 10 ms frames over a noise floor that adapts.

    The floor is the quietest smoothed frame of the last four seconds (minimum statistics; Martin,
    2001): speech has gaps, noise has none, so steady noise becomes the floor and speech does not.
    However the sound is cut into pieces, the decisions are the same.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream and its noise."""
        self._rest = np.empty(0, np.float32)
        self._smooth_db = QUIETEST_DB
        self._minima = deque([QUIETEST_DB] * _BLOCKS, maxlen=_BLOCKS)
        self._minimum, self._in_block = np.inf, 0
        self._loud = self._quiet = 0
        self.speaking = False

    def accept(self, samples: NDArray[np.float32]) -> bool:
        """Take samples (mono, 16 kHz, in [-1, 1]), and return whether somebody speaks.

        What is no number counts as silence.
        """
        sound = np.concatenate([self._rest, np.nan_to_num(samples, posinf=0, neginf=0)])
        whole = len(sound) // FRAME
        self._rest = sound[whole * FRAME :]
        frames = np.clip(sound[: whole * FRAME].reshape(whole, FRAME), -1, 1)
        # Without its mean: a microphone's constant offset is no sound.
        energy = frames.var(axis=1, dtype=np.float64)
        for level_db in 10 * np.log10(np.maximum(energy, 1e-12)):
            self._decide(float(level_db))
        return self.speaking

    @property
    def floor_db(self) -> float:
        """The noise floor, in dB of full scale."""
        return min(max(min(self._minima), QUIETEST_DB), LOUDEST_FLOOR_DB)

    def _decide(self, level_db: float) -> None:
        above = level_db - self.floor_db
        if self.speaking:
            self._quiet = 0 if above >= FALL_DB else self._quiet + 1
            self.speaking = self._quiet < HANGOVER
            self._loud = 0
        else:
            self._loud = self._loud + 1 if above >= RISE_DB else 0
            self.speaking = self._loud >= ONSET
            self._quiet = 0
        self._follow(level_db)

    def _follow(self, level_db: float) -> None:
        self._smooth_db += 0.2 * (level_db - self._smooth_db)
        self._minimum = min(self._minimum, self._smooth_db)
        self._in_block += 1
        if self._in_block == _BLOCK:
            self._minima.append(self._minimum)
            self._minimum, self._in_block = np.inf, 0
