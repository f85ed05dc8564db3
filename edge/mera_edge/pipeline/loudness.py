"""Whether speech is too loud for its converter, or so quiet that little of it is left."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.reasons import Reason

MEMORY_S = 2.0
"""Time constant of the means over speech."""

FULL, CLIPPED = 0.99, 0.02
"""Share of full scale from which a sample is cut off, and share of such samples from which speech
is clipped: that of acted and spontaneous speech as it was published is 0.0002 at most."""

QUIET = 10 ** (-60 / 20)
"""Root mean square of speech that is too quiet, 60 dB below full scale: a recording of 16 bits has
five steps for it. That of the quietest corpus, RAVDESS, is above -56 dB."""


class Loudness:
    """Level and clipping of what was said of late."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._count = self._cut = self._energy = 0.0

    def accept(self, samples: NDArray[np.float32]) -> None:
        """Take the next speech, ``[n]`` from -1 to 1."""
        keep = math.exp(-len(samples) / (MEMORY_S * SAMPLE_RATE))
        self._count = keep * self._count + len(samples)
        self._cut = keep * self._cut + float(np.count_nonzero(np.abs(samples) >= FULL))
        self._energy = keep * self._energy + float(np.square(samples, dtype=np.float64).sum())

    @property
    def caution(self) -> Reason | None:
        """Why an answer about the voice deserves less trust, if it does."""
        if self._cut > CLIPPED * self._count:
            return Reason.of("clipped")
        if self._energy < QUIET**2 * self._count:
            return Reason.of("too_quiet")
        return None
