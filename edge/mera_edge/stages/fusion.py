"""Fusion of voice, face and words into one answer; each modality is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.evidence import Evidence
from mera_edge.labels import EMOTIONS, MODALITIES


@dataclass(frozen=True, slots=True)
class FusionResult:
    """The fused answer."""

    probabilities: NDArray[np.float32]
    """``[7]`` in the order of `EMOTIONS`."""
    valence: float
    """In [-1, 1]."""
    weights: dict[str, float]
    """Weight of each modality present; they sum to 1."""


class FusionStage:
    """Fuses the available evidence into one answer; a single modality passes unchanged.

    If an encoder is a downloaded model, whose embeddings the network was not trained on, only the
    probabilities are pooled, with equal weights.

    Raises:
        BundleError: the bundle has no fusion.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._engine = bundle.role("fusion").stage_engine()
        self._blank = {
            name: np.zeros(spec.shape, spec.dtype) for name, spec in self._engine.inputs.items()
        }
        self._blank["unimodal_probabilities"][:] = 1 / len(EMOTIONS)

    def fuse(self, evidence: Sequence[Evidence], now_s: float) -> FusionResult:
        """Fuse at most one piece of evidence per modality.

        Args:
            evidence: at least one piece; the order does not matter.
            now_s: stream time in seconds, to compute the age of the evidence.

        Raises:
            InputError: there is no evidence, or more than one piece of a modality.
        """
        by_modality: dict[str, Evidence] = {piece.modality: piece for piece in evidence}
        if not evidence or len(by_modality) < len(evidence):
            raise InputError(
                "fusion takes one piece of evidence per modality, and at least one piece",
                f"it got {[piece.modality for piece in evidence]}",
            )
        if any(not piece.embedding.size for piece in evidence):
            return _pooled(by_modality)
        feeds = {name: value.copy() for name, value in self._blank.items()}
        for column, name in enumerate(MODALITIES):
            if piece := by_modality.get(name):
                feeds[name][0] = piece.embedding
                feeds["unimodal_probabilities"][0, column] = piece.probabilities
                feeds["present"][0, column] = 1
                feeds["age_s"][0, column] = max(0.0, now_s - piece.captured_s)
        answer = self._engine.run(feeds)
        shares = answer["weights"][0]
        return FusionResult(
            probabilities=answer["probabilities"][0],
            valence=float(answer["valence"][0, 0]),
            weights={
                name: float(shares[column])
                for column, name in enumerate(MODALITIES)
                if name in by_modality
            },
        )


def _pooled(evidence: Mapping[str, Evidence]) -> FusionResult:
    """Return the logarithmic opinion pool: the normalised geometric mean of the probabilities."""
    logs = [np.log(np.maximum(piece.probabilities, 1e-6)) for piece in evidence.values()]
    mean = np.exp(np.mean(logs, axis=0))
    return FusionResult(
        probabilities=(mean / mean.sum()).astype(np.float32),
        valence=float(np.mean([piece.valence for piece in evidence.values()])),
        weights=dict.fromkeys(evidence, 1 / len(evidence)),
    )
