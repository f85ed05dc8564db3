"""Face classifiers that differ only in their preprocessing and labels.

``preprocess`` in the catalogue: ``size`` of the square input, ``colour`` (grey, rgb or bgr),
``mean`` and ``std`` of the pixels, either one number or one per channel, and optionally
``template``: positions of the five landmarks, for models that need faces aligned to them instead of
the square from brow to chin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mera_edge.bundle.catalogue import Published
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.errors import EngineError
from mera_edge.features.face import Face, Image, upright
from mera_edge.labels import expected_valence, project
from mera_edge.stages.face_encoder import FacePrediction

_NO_EMBEDDING = np.zeros(0, np.float32)


class Preprocess(BaseModel):
    """Preprocessing parameters; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    colour: Literal["grey", "rgb", "bgr"]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    template: tuple[tuple[float, float], ...] | None = None


def open_model(directory: Path, model: Published) -> FaceClassifier:
    """Open the only file of ``model``."""
    preprocess = Preprocess.model_validate(model.preprocess)
    return FaceClassifier(directory / next(iter(model.files)), model.labels, preprocess)


class FaceClassifier:
    """A model that returns one logit per label, optionally followed by valence and arousal.

    Raises:
        EngineError: the model cannot be loaded, or has other inputs or outputs.
    """

    def __init__(self, path: Path, labels: tuple[str, ...], preprocess: Preprocess) -> None:
        self.labels, self._how = labels, preprocess
        self._engine = OnnxEngine(path)
        (self._input, shape), *others = (
            (name, spec.shape) for name, spec in self._engine.inputs.items()
        )
        channels = 1 if preprocess.colour == "grey" else 3
        wanted = (channels, preprocess.size, preprocess.size)
        if others or tuple(shape[-3:]) != wanted or len(self._engine.outputs) != 1:
            raise EngineError(
                f"{path.name} expects {list(shape)}, not [1, {', '.join(map(str, wanted))}]",
                "pull it again, or correct its entry in the catalogue",
            )

    def cut_out(self, image: Image, face: Face | None) -> NDArray[np.float32]:
        """Return the preprocessed crop ``[C, S, S]``."""
        import cv2

        how, size = self._how, (self._how.size, self._how.size)
        if face is not None and how.template is not None:
            matrix = _similarity(face.landmarks, np.array(how.template))
            square: Any = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        else:
            square = image if face is None else upright(image, how.size, face)
            smaller = min(square.shape[:2]) >= how.size
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            square = cv2.resize(square, size, interpolation=method)
        if how.colour == "grey":
            square = cv2.cvtColor(square, cv2.COLOR_BGR2GRAY)[..., None]
        elif how.colour == "rgb":
            square = square[..., ::-1]
        pixels = (square.astype(np.float32) - _row(how.mean)) / _row(how.std)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def read(self, crop: NDArray[np.float32]) -> FacePrediction:
        """Classify a crop; see `FaceEncoder.read`."""
        (answer,) = self._engine.run({self._input: crop[None]}).values()
        logits, more = np.split(answer.reshape(-1), [len(self.labels)])
        shares = np.exp(logits - logits.max())
        probabilities = (shares / shares.sum()).astype(np.float32)
        seven = project(probabilities, self.labels)
        valence = float(np.clip(more[0], -1, 1)) if len(more) else expected_valence(seven)
        return FacePrediction(probabilities, valence, _NO_EMBEDDING)


def _similarity(points: NDArray[np.floating], wanted: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the least-squares similarity transform ``[2, 3]`` from ``points`` to ``wanted``."""
    (x, y), one, zero = points.T, np.ones(len(points)), np.zeros(len(points))
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    (a, b, right, down), *_ = np.linalg.lstsq(rows, wanted.T.reshape(-1), rcond=None)
    return np.array([[a, -b, right], [b, a, down]])


def _row(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)
