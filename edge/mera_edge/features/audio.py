"""What hears sound is given: samples, and the log-mel frames that were computed of them once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """The next piece of a stream of sound."""

    frames: NDArray[np.float32]
    """``[m, 80]`` log-mel, those that became complete; see `mera_edge.features.fbank`."""
    end_s: float
    """Stream time, in seconds, at which it ends."""
    samples: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """``[n]``, mono, 16 kHz, in [-1, 1]. Whoever hears frames needs none."""
    speaking: bool | None = None
    """Whether somebody speaks at its end; ``None`` where no speech detector was asked."""
    pause_s: float = 0.0
    """For how long speech has been unlikely at its end: of who speaks, perhaps the last of it."""
