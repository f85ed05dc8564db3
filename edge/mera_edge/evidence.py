"""What goes from a stage to the fusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_edge.labels import ModalityName


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one modality says at one moment."""

    modality: ModalityName
    captured_s: float
    """Stream time, in seconds, of the newest sample, picture or word that it rests on."""
    probabilities: NDArray[np.float32]
    """``[7]`` in the order of `EMOTIONS`, summing to one."""
    valence: float
    """In [-1, 1]."""
    embedding: NDArray[np.float32]
    """``[D]``, what the fusion reads."""
    person: int | None = None
    """Whose face it is; ``None`` for voice and words."""
