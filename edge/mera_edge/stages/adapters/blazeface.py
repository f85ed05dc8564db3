"""BlazeFace (Bazarevsky et al., 2019), MediaPipe's short-range face detector, run by OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle.catalogue import Published
from mera_edge.errors import EngineError
from mera_edge.features.face import Face, Image
from mera_edge.stages.face_detector import SURE, without_repeats

_SIDE = 128
"""Side of the square input, in pixels."""
_GRIDS = ((16, 2), (8, 6))
"""Anchor grids: cells per side, and anchors per cell."""
_MOUTH = 0.83
"""Ratio of the width of the mouth to the distance between the eyes. The model returns only the
centre of the mouth; the ratio is that of common alignment templates."""
_RAISE_TOP = 0.25
"""Fraction of its height by which the top of a box is raised: BlazeFace's boxes start at the brow,
those that crops are made from at the hairline (median difference from YuNet, 14 images)."""
_OUTPUTS = {"regressors": (1, 896, 16), "classificators": (1, 896, 1)}


def open_model(directory: Path, model: Published) -> BlazeFace:
    """Open the only file of ``model``."""
    return BlazeFace(directory / next(iter(model.files)))


class BlazeFace:
    """Finds faces in images of any size; small ones are lost in its input of 128 pixels.

    Raises:
        EngineError: OpenCV cannot load the model, or its outputs are not BlazeFace's.
    """

    def __init__(self, model: Path) -> None:
        import cv2

        try:
            self._network = cv2.dnn.readNet(str(model))
            shapes = {name: a.shape for name, a in self._run(_blank()).items()}
        except cv2.error as error:
            raise EngineError(
                f"OpenCV cannot load the face detector {model} ({error})",
                "pull it again: mera-edge models pull blazeface",
            ) from error
        if shapes != _OUTPUTS:
            raise EngineError(
                f"{model.name} returns {shapes}, not {_OUTPUTS}",
                "pull it again, or correct its entry in the catalogue",
            )
        self._centres = np.concatenate([_cells(*grid) for grid in _GRIDS])

    def find(self, image: Image, least: float = SURE) -> list[Face]:
        """See `FaceDetector.find`."""
        import cv2

        height, width = image.shape[:2]
        scale = _SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square = _blank()
        square[: size[1], : size[0]] = cv2.resize(image, size, interpolation=method)
        answer = self._run(square)
        confidence = 1 / (1 + np.exp(-answer["classificators"].ravel().clip(-80, 80)))
        rows = np.flatnonzero(confidence >= least)
        points = answer["regressors"].reshape(-1, 8, 2)[rows]
        centres = self._centres[rows]
        middle, half = points[:, 0] + centres, points[:, 1] / 2
        corners = np.stack([middle - half, middle + half], 1)
        corners[:, 0, 1] -= 2 * _RAISE_TOP * half[:, 1]
        right, left, nose, mouth = (points[:, 2 + i] + centres for i in range(4))
        aside = _MOUTH * (left - right) / 2
        landmarks = np.stack([right, left, nose, mouth - aside, mouth + aside], 1)
        return without_repeats(corners / scale, landmarks / scale, confidence[rows])

    def _run(self, square: Image) -> dict[str, NDArray[np.float32]]:
        import cv2

        blob = cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5,) * 3, swapRB=True)
        self._network.setInput(blob)
        names = self._network.getUnconnectedOutLayersNames()
        answers = cast(list[NDArray[np.float32]], self._network.forward(names))
        return dict(zip(names, answers, strict=True))


def _blank() -> Image:
    return np.zeros((_SIDE, _SIDE, 3), np.uint8)


def _cells(cells: int, answers: int) -> NDArray[np.float32]:
    """Return the anchor centres of a grid in pixels, row by row, repeated per anchor."""
    middles = (np.arange(cells, dtype=np.float32) + 0.5) * _SIDE / cells
    y, x = np.meshgrid(middles, middles, indexing="ij")
    return np.repeat(np.stack([x.ravel(), y.ravel()], 1), answers, axis=0)
