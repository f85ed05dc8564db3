"""What a face says: the bundle's encoder, and what a published one has to do in its place."""

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
    """What the encoder says about one crop."""

    probabilities: NDArray[np.float32]
    """``[C]`` over the encoder's own labels."""
    valence: float
    """In [-1, 1]."""
    embedding: NDArray[np.float32]
    """``[D]``"""

    def moved_to(self, newer: FacePrediction, share: float) -> FacePrediction:
        """Return the mean of both, in which ``newer`` has the given share."""
        return FacePrediction(
            self.probabilities + share * (newer.probabilities - self.probabilities),
            self.valence + share * (newer.valence - self.valence),
            self.embedding + share * (newer.embedding - self.embedding),
        )


class FaceEncoder(Protocol):
    """Reads one face at a time."""

    labels: tuple[str, ...]
    """Of its probabilities."""

    def cut_out(self, image: Image, face: Face | None) -> NDArray[np.float32]:
        """Return what `read` takes.

        Args:
            image: ``[H, W, 3]`` blue first.
            face: where the face is in it; ``None``: the whole picture is a crop of one.
        """

    def read(self, crop: NDArray[np.float32]) -> FacePrediction:
        """Read a crop. The embedding of an encoder that the fusion does not know is empty."""


class BundleFaceEncoder:
    """The bundle's encoder.

    Raises:
        BundleError: the bundle has no face encoder, or one for other features than ours.
        EngineError: it cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("face")
        role.require_features(SPEC)
        self.labels: tuple[str, ...] = role.entry.labels
        self._engine = role.stage_engine()
        self._size = self._engine.inputs["face"].shape[-1]

    def cut_out(self, image: Image, face: Face | None) -> NDArray[np.float32]:
        """Return the crop ``[S, S]``, grey from 0 to 255."""
        return crop(image, self._size) if face is None else align(image, self._size, face)

    def read(self, crop: NDArray[np.float32]) -> FacePrediction:
        """See `FaceEncoder.read`."""
        answer = self._engine.run({"face": crop[None, None]})
        return FacePrediction(
            answer["probabilities"][0], float(answer["valence"][0, 0]), answer["embedding"][0]
        )


def face_encoder(bundle: Bundle) -> FaceEncoder:
    """Return the bundle's encoder, or the pulled one in its place.

    Raises:
        BundleError: the bundle has none, or one for other features than ours.
        InputError: the pulled one is not here, or no face encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("face", bundle, BundleFaceEncoder)
