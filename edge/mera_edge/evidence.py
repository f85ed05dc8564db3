"""The output of a modality, and the input of the fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_edge.labels import ModalityName, project


@dataclass(frozen=True, slots=True)
class Evidence:
    """The output of one modality at one moment."""

    modality: ModalityName
    captured_s: float
    """Stream time in seconds of the newest sample, image or word that it is based on."""
    probabilities: NDArray[np.float32]
    """``[7]`` in the order of `EMOTIONS`, summing to one."""
    valence: float
    """In [-1, 1]."""
    embedding: NDArray[np.float32]
    """``[D]``, input of the fusion."""
    person: int | None = None
    """Id of the tracked face; ``None`` for voice and words."""

    @classmethod
    def of_outputs(
        cls,
        modality: ModalityName,
        captured_s: float,
        outputs: Mapping[str, NDArray[np.floating]],
        labels: Sequence[str],
    ) -> Evidence:
        """Create evidence from the outputs of one of the bundle's encoders, for a batch of one.

        Args:
            modality: of the encoder.
            captured_s: stream time in seconds of the newest sample or word.
            outputs: ``probabilities`` ``[1, C]``, ``valence`` ``[1, 1]``, ``embedding`` ``[1, D]``.
            labels: the encoder's ``C`` labels.
        """
        return cls(
            modality=modality,
            captured_s=captured_s,
            probabilities=project(outputs["probabilities"][0], labels),
            valence=float(outputs["valence"][0, 0]),
            embedding=outputs["embedding"][0],
        )
