"""Facial emotion recognition: the bundle's encoder, and the protocol that others implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.features.face import SPEC, Face, Image, align, crop
from mera_edge.stages.adapters import chosen


@dataclass(frozen=True, slots=True)
class FacePrediction:
    """The output of the encoder for one crop."""

    probabilities: NDArray[np.float32]
    """``[C]`` over the encoder's own labels."""
    valence: float
    """In [-1, 1]."""
    embedding: NDArray[np.float32]
    """``[D]``"""

    def moved_to(self, newer: FacePrediction, share: float) -> FacePrediction:
        """Return the weighted mean of both, with the weight ``share`` for ``newer``."""
        return FacePrediction(
            self.probabilities + share * (newer.probabilities - self.probabilities),
            self.valence + share * (newer.valence - self.valence),
            self.embedding + share * (newer.embedding - self.embedding),
        )


class FaceEncoder(Protocol):
    """Classifies one face at a time."""

    labels: tuple[str, ...]
    """Labels of the probabilities, in order."""

    def cut_out(self, image: Image, face: Face | None) -> NDArray[np.float32]:
        """Return the crop that `read` takes.

        Args:
            image: ``[H, W, 3]``, BGR.
            face: the face in it; ``None`` if the image is itself a crop of a face.
        """

    def read(self, crop: NDArray[np.float32]) -> FacePrediction:
        """Classify a crop. The embedding is empty unless the fusion was trained with it."""


class BundleFaceEncoder:
    """The bundle's encoder.

    Raises:
        BundleError: the bundle has no face encoder, or one that expects different features.
        EngineError: it cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("face")
        role.require_features(SPEC)
        self.labels: tuple[str, ...] = role.entry.labels
        self._engine = role.stage_engine()
        self._size = self._engine.inputs["face"].shape[-1]

    def cut_out(self, image: Image, face: Face | None) -> NDArray[np.float32]:
        """Return the crop ``[S, S]``, greyscale, from 0 to 255."""
        return crop(image, self._size) if face is None else align(image, self._size, face)

    def read(self, crop: NDArray[np.float32]) -> FacePrediction:
        """See `FaceEncoder.read`."""
        answer = self._engine.run({"face": crop[None, None]})
        return FacePrediction(
            answer["probabilities"][0], float(answer["valence"][0, 0]), answer["embedding"][0]
        )


def face_encoder(bundle: Bundle) -> FaceEncoder:
    """Return the bundle's encoder, or the downloaded model that replaces it.

    Raises:
        BundleError: the bundle has no face encoder, or one that expects different features.
        InputError: the model has not been downloaded, or is not a face encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("face", bundle, BundleFaceEncoder)
