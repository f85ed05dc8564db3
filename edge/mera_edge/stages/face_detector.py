"""Face detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.features.face import DETECTOR_SPEC, Box, Face, Image, cut
from mera_edge.stages.adapters import chosen

SURE, LIKELY = 0.6, 0.35
"""Confidence threshold for a new face, and for one near where a face was a moment ago."""

_SEARCH_SCALE = 4.0
"""Side of the square that is searched, relative to the side of the face last seen in it."""

SAME = 0.4
"""Threshold of intersection over union above which two detections are the same face."""


WITHIN = 0.8
"""A detection with this fraction of its area inside a larger face is a part of that face: a cheek
and an eye at the border of an image look like a small face."""


class FaceDetector(Protocol):
    """Finds faces in images of any size."""

    def find(self, image: Image, least: float = SURE) -> list[Face]:
        """Return the faces, largest first.

        Args:
            image: ``[H, W, 3]``, BGR.
            least: confidence threshold.
        """


def find_near(
    detector: FaceDetector, image: Image, box: Box, others: Sequence[Box] = (), quarters: int = 0
) -> Face | None:
    """Search for a face around its last position, and return it.

    Args:
        box: its last position.
        others: faces found already, which are excluded.
        quarters: see `find_turned`.
    """
    around = box.grown(_SEARCH_SCALE)
    part = cut(image, around)
    # `cut` pads beyond the image, so the offset may be negative.
    left, top = round(around.x), round(around.y)
    found = [face.moved(left, top) for face in find_turned(detector, part, quarters, LIKELY)]
    near = [
        face
        for face in found
        if face.box.overlap(box) and not any(face.box.overlap(o) >= SAME for o in others)
    ]
    return max(near, key=lambda face: face.box.overlap(box), default=None)


def find_turned(
    detector: FaceDetector, image: Image, quarters: int, least: float = SURE
) -> list[Face]:
    """Rotate an image, search it, and return its faces in original coordinates, largest first.

    Args:
        quarters: quarter turns anticlockwise: 1 for people lying with the head to the right, 3 for
            the left.
        least: see `FaceDetector.find`.
    """
    if not quarters:
        return detector.find(image, least)
    height, width = image.shape[:2]
    turned = np.ascontiguousarray(np.rot90(image, quarters))
    return [face.turned_back(quarters, width, height) for face in detector.find(turned, least)]


class OnnxFaceDetector:
    """The bundle's detector.

    Raises:
        BundleError: the bundle has no face detector, or one that expects different input.
        EngineError: it cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("face_detector")
        role.require_features(DETECTOR_SPEC)
        self._engine = role.stage_engine()
        self._height, self._width = self._engine.inputs["picture"].shape[2:]
        self._canvas = np.zeros((1, 1, self._height, self._width), np.float32)

    def find(self, image: Image, least: float = SURE) -> list[Face]:
        """See `FaceDetector.find`."""
        import cv2

        height, width = image.shape[:2]
        scale = min(self._height / height, self._width / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        # Grey first: to reduce three channels takes two to three times as long.
        grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), size, interpolation=method)
        self._canvas.fill(0)
        self._canvas[0, 0, : size[1], : size[0]] = grey
        answer = self._engine.run({"picture": self._canvas})
        confidence = answer["confidence"][0]
        rows = np.flatnonzero(confidence >= least)
        sides = np.array([self._width, self._height], np.float32) / scale
        return without_repeats(
            answer["boxes"][0][rows].reshape(-1, 2, 2) * sides,
            answer["landmarks"][0][rows].reshape(-1, 5, 2) * sides,
            confidence[rows],
        )


def without_repeats(
    corners: NDArray[np.floating], landmarks: NDArray[np.floating], confidence: NDArray[np.floating]
) -> list[Face]:
    """Apply non-maximum suppression and return the faces, largest first."""
    import cv2

    rectangles = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], 1)
    kept: Sequence[int] = cv2.dnn.NMSBoxes(rectangles.tolist(), confidence.tolist(), 0.0, SAME)
    faces = [
        Face(
            _square(*map(float, rectangles[i])),
            landmarks[i].astype(np.float32),
            float(confidence[i]),
        )
        for i in kept
    ]
    faces.sort(key=lambda face: -face.box.area)
    return [
        face
        for number, face in enumerate(faces)
        if not any(_is_part(face.box, larger.box) for larger in faces[:number])
    ]


def _is_part(box: Box, larger: Box) -> bool:
    return larger.shared(box) > WITHIN * box.area


def _square(x: float, y: float, width: float, height: float) -> Box:
    # The boxes are narrow; their height matches the side of the encoder's training crops (FER+,
    # median ratio 0.99).
    return Box(x + (width - height) / 2, y, height, height)


def face_detector(bundle: Bundle) -> FaceDetector:
    """Return the bundle's detector, or the downloaded model that replaces it.

    Raises:
        InputError: the model has not been downloaded, or is not a face detector.
        EngineError: it cannot be loaded.
    """
    return chosen("face_detector", bundle, OnnxFaceDetector)
