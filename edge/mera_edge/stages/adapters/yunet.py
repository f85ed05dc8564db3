"""YuNet (Wu et al., 2023), run by OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle.catalogue import Published
from mera_edge.errors import EngineError
from mera_edge.features.face import Face, Image
from mera_edge.stages.face_detector import LIKELY, SURE, without_repeats


def open_model(directory: Path, model: Published) -> YuNet:
    """Open the only file of ``model``."""
    return YuNet(directory / next(iter(model.files)))


class YuNet:
    """Finds faces in images of any size.

    Raises:
        EngineError: OpenCV cannot load the model.
    """

    LONGEST_SIDE = 320
    """Larger images are reduced to this length of their longest side, in pixels."""

    def __init__(self, model: Path) -> None:
        import cv2

        try:
            self._detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), LIKELY)
            # A different model fails only when it runs.
            self._detector.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise EngineError(
                f"OpenCV cannot load the face detector {model} ({error})",
                "pull it again: mera-edge models pull yunet",
            ) from error

    def find(self, image: Image, least: float = SURE) -> list[Face]:
        """See `FaceDetector.find`."""
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, self.LONGEST_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cast(Image, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        self._detector.setInputSize(size)
        _, found = self._detector.detect(small)
        rows: NDArray[Any] = np.zeros((0, 15), np.float32) if found is None else np.asarray(found)
        rows = rows[rows[:, 14] >= least]
        corners = np.stack([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1) / scale
        return without_repeats(corners, rows[:, 4:14].reshape(-1, 5, 2) / scale, rows[:, 14])
