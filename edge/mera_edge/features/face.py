"""Face crops: the greyscale input of the face encoder, the same in training and on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError

Image = NDArray[np.uint8]

SPEC = {"kind": "face-crop", "colour": "grey", "range": [0, 255], "framing": "brow to chin, square"}
"""Input of the face encoder, recorded in the manifest; the size is defined by the model."""


DETECTOR_SPEC = {"kind": "picture", "colour": "grey", "range": [0, 255], "place": "top left"}
"""Input of the face detector: an image scaled to fit, padded with black on the right and below."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: its top left corner and its size. It may extend beyond the image."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.width * self.height

    def shared(self, other: Box) -> float:
        """Return the area of the intersection."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0.0, width) * max(0.0, height)

    def overlap(self, other: Box) -> float:
        """Return the intersection over union, from 0 (disjoint) to 1 (identical)."""
        both = self.shared(other)
        return both / (self.area + other.area - both) if both else 0.0

    def grown(self, factor: float) -> Box:
        """Return a box with the same centre and ``factor`` times the sides."""
        width, height = self.width * factor, self.height * factor
        return Box(
            self.x - (width - self.width) / 2, self.y - (height - self.height) / 2, width, height
        )


_SIDES_FROM_EYES = 2.83
"""Ratio of the side of a face's square to the distance between eyes and mouth: the median over the
detector's training images; the interquartile range is 2.72 to 2.91."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in an image.

    Attributes:
        box: an upright square from brow to chin.
        landmarks: ``[5, 2]`` in pixels: right eye, left eye, nose, right and left corner of the
            mouth; right and left are the person's.
        confidence: the detector's, from 0 to 1.
    """

    box: Box
    landmarks: NDArray[np.float32]
    confidence: float

    def moved(self, x: float, y: float) -> Face:
        """Return the face translated by ``(x, y)``."""
        box = Box(self.box.x + x, self.box.y + y, self.box.width, self.box.height)
        away = np.array([x, y], np.float32)
        return Face(box, self.landmarks + away, self.confidence)

    def turned_back(self, quarters: int, width: int, height: int) -> Face:
        """Map a face found in a rotated image back to the original image.

        Args:
            quarters: quarter turns anticlockwise by which the image was rotated.
            width, height: size of the original image.
        """
        x, y = self.box.x, self.box.y
        corners = [[x, y], [x + self.box.width, y + self.box.height]]
        points = np.vstack([corners, self.landmarks])
        for turn in range(quarters % 4, 0, -1):
            # Undoing one quarter turn: x is counted from the right along the rotated y axis.
            side = width if turn % 2 else height
            points = np.stack([side - 1 - points[:, 1], points[:, 0]], 1)
        first, last = points[:2].min(0), points[:2].max(0)
        box = Box(*map(float, (*first, *(last - first))))
        return Face(box, points[2:].astype(np.float32), self.confidence)

    @property
    def side(self) -> float:
        """Side of the square from brow to chin, in pixels, independent of the roll of the head."""
        eyes, mouth = self.landmarks[:2].mean(0), self.landmarks[3:].mean(0)
        # The height of the box is the distance from brow to chin only for a roll of a multiple of
        # 90 degrees: lying heads are found in a rotated image. In between, use the landmarks.
        upright = abs(float(np.cos(2 * self.roll)))
        from_eyes = _SIDES_FROM_EYES * float(np.linalg.norm(mouth - eyes))
        return upright * self.box.height + (1 - upright) * from_eyes

    @property
    def roll(self) -> float:
        """Clockwise rotation of the head in the image plane, in radians, from -pi to pi."""
        eyes, mouth = self.landmarks[:2].mean(0), self.landmarks[3:].mean(0)
        down = mouth - eyes
        return float(np.arctan2(-down[0], down[1]))


def decode(data: bytes, name: str) -> Image:
    """Decode an image (JPEG, PNG, WebP, TIFF, ...) of any bit depth and colour space.

    Args:
        data: the bytes of the file.
        name: its name in error messages.

    Returns:
        ``[H, W, 3]``, BGR. More than 8 bits are scaled to 8 by the brightest value; transparency is
        ignored.

    Raises:
        InputError: the bytes are empty or not an image.
    """
    import cv2

    if not data:
        raise InputError(f"{name} is empty", "give an image file")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise InputError(
            f"{name} cannot be read as an image ({error})", "check that the file is complete"
        ) from error
    if image is None:
        raise InputError(
            f"{name} is not an image that OpenCV can read", "check that the file is complete"
        )
    return _eight_bits(image, name)


def _eight_bits(image: NDArray[Any], name: str) -> Image:
    if image.dtype == np.uint8:
        return image
    values = np.maximum(image.astype(np.float32), 0)
    brightest = float(values.max())
    if not np.isfinite(brightest):
        raise InputError(f"{name} has pixels that are not finite", "save it again")
    return np.rint(values * (255 / max(brightest, 1e-6))).astype(np.uint8)


def cut(image: Image, box: Box) -> Image:
    """Return the content of a box, at least 1 x 1; outside the image its border is replicated."""
    left, top = round(box.x), round(box.y)
    right = max(left + 1, round(box.x + box.width))
    bottom = max(top + 1, round(box.y + box.height))
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    rows = np.arange(top, bottom).clip(0, height - 1)
    columns = np.arange(left, right).clip(0, width - 1)
    part: Image = image[rows][:, columns]
    return part


def align(image: Image, size: int, face: Face) -> NDArray[np.float32]:
    """Cut out a face, rotated upright, and convert it as `crop` does.

    Args:
        image: ``[H, W, 3]`` BGR, or ``[H, W]`` greyscale.
        size: side of the result in pixels.
        face: its position; the border is replicated outside the image.

    Returns:
        ``[size, size]``, from 0 to 255.
    """
    return crop(upright(image, size, face), size)


def upright(image: Image, size: int, face: Face) -> Image:
    """Cut out a face, rotated upright, in the colours of the image.

    Returns:
        A square image whose side is ``size`` or a multiple of it.
    """
    import cv2

    # Larger faces are cut out at a multiple of the size, so that they can be reduced by averaging.
    side = size * min(8, max(1, round(face.side / size)))
    scale, roll = side / max(face.side, 1.0), face.roll
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    x, y = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
    matrix = np.array(
        [[cos, sin, side / 2 - cos * x - sin * y], [-sin, cos, side / 2 + sin * x - cos * y]]
    )
    turned = cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return cast(Image, turned)


def crop(image: Image, size: int) -> NDArray[np.float32]:
    """Convert an image of a face to greyscale and resize it for the encoder.

    Brightness and contrast are unchanged: the encoder standardises every crop.

    Args:
        image: ``[H, W, 3]`` BGR, or ``[H, W]`` greyscale, from brow to chin.
        size: side of the result in pixels.

    Returns:
        ``[size, size]``, from 0 to 255.
    """
    import cv2

    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if grey.shape != (size, size):
        # INTER_AREA avoids aliasing when reducing; it is not suitable for enlarging.
        smaller = min(grey.shape) >= size
        method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        grey = cv2.resize(grey, (size, size), interpolation=method)
    return grey.astype(np.float32)
