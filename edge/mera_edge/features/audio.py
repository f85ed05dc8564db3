"""The unit of audio that stages process: samples and their log-mel frames."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """The next block of an audio stream."""

    frames: NDArray[np.float32]
    """``[m, 80]`` log-mel frames that this block completes; see `mera_edge.features.fbank`."""
    end_s: float
    """Stream time at its end, in seconds."""
    samples: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """``[n]``, mono, 16 kHz, in [-1, 1]. Not needed by consumers of ``frames``."""
    speaking: bool | None = None
    """Whether there is speech at its end; ``None`` without a speech detector."""
    pause_s: float = 0.0
    """Seconds of low speech probability at its end; may be above 0 while ``speaking``, because
    speech ends only after a pause."""
