"""Pictures labelled by a teacher, and training scenes composed of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.face import decode
from mera_train.face_detector.label import COLUMNS
from mera_train.fingerprint import arrays, combined

SURE = 0.7
"""Teacher's confidence from which a face counts; a weaker one is neither a face nor none."""

Picture = NDArray[np.uint8]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Labelled:
    """A grey picture ``[H, W]`` and the teacher's faces in it, in pixels."""

    name: str
    pixels: Picture
    boxes: Array
    """``[n, 4]``: left, top, right, lower edge."""
    landmarks: Array
    """``[n, 5, 2]``"""
    confidence: Array
    """``[n]``"""


def load(manifest: Path, longest: int = 320) -> dict[str, list[Labelled]]:
    """Read a CSV written by `label`, by split; pictures are reduced to ``longest`` pixels a side.

    Raises:
        InputError: it is missing or has other columns.
    """
    import cv2

    if not manifest.is_file():
        raise InputError(f"{manifest} does not exist", "make it: mera-edge corpus label-faces")
    rows: dict[tuple[str, str], list[list[float]]] = {}
    with manifest.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"{manifest} has the wrong columns", f"needed: {','.join(COLUMNS)}")
        for row in reader:
            faces = rows.setdefault((row["split"], row["file"]), [])
            if float(row["confidence"]):
                faces.append([float(row[name]) for name in COLUMNS[2:]])
    parts: dict[str, list[Labelled]] = {"train": [], "valid": []}
    for (split, name), faces in rows.items():
        image = decode((manifest.parent / name).read_bytes(), name)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        numbers = np.array(faces, np.float32).reshape(-1, 15)
        corners = numbers[:, 1:5].copy()
        corners[:, 2:] += corners[:, :2]
        landmarks = numbers[:, 5:].reshape(-1, 5, 2)
        whole = Labelled(name, cast(Picture, grey), corners, landmarks, numbers[:, 0])
        parts[split].append(_smaller(whole, longest / max(grey.shape)))
    return parts


def contents(parts: dict[str, list[Labelled]]) -> str:
    """Return a digest of the pictures and labels."""
    return combined(
        [split, p.name, arrays(p.pixels, p.boxes, p.landmarks, p.confidence)]
        for split, pictures in parts.items()
        for p in pictures
    )


def _smaller(picture: Labelled, scale: float) -> Labelled:
    """Scale a picture down by ``scale``; return it unchanged if that is not smaller."""
    import cv2

    if scale >= 1:
        return picture
    height, width = picture.pixels.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = cast(Picture, cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA))
    boxes, landmarks = picture.boxes * scale, picture.landmarks * scale
    return Labelled(picture.name, pixels, boxes, landmarks, picture.confidence)


class Composer:
    """Composes training scenes: original pictures, and faces pasted onto pictures without faces.

    Args:
        pictures: pictures of the training split.
        side: side of the square scenes, in pixels.
    """

    def __init__(self, pictures: list[Labelled], side: int) -> None:
        self._side = side
        self._with = [p for p in pictures if (p.confidence >= SURE).any()]
        self._without = [p for p in pictures if not len(p.confidence)]
        if not self._with or not self._without:
            raise InputError("pictures with and without faces are needed", "add the missing kind")

    def scene(self, rng: np.random.Generator) -> tuple[Picture, Array, Array, Array]:
        """Return grey pixels ``[S, S]``, boxes ``[n, 4]``, landmarks ``[n, 5, 2]``, confidence."""
        canvas = self._background(rng)
        owner = np.zeros(canvas.shape, np.int16)
        faces: list[tuple[Array, Array, Array, int]] = []
        many = int(rng.choice([0, 1, 2, 3, 5], p=[0.12, 0.43, 0.2, 0.15, 0.1]))
        for number in range(1, many + 1):
            source = self._with[rng.integers(len(self._with))]
            natural = many == 1 and rng.random() < 0.6
            faces.append((*_paste(canvas, owner, source, number, natural, rng), number))
        boxes = np.concatenate([f[0] for f in faces] or [np.zeros((0, 4), np.float32)])
        landmarks = np.concatenate([f[1] for f in faces] or [np.zeros((0, 5, 2), np.float32)])
        confidence = np.concatenate([f[2] for f in faces] or [np.zeros(0, np.float32)])
        numbers = np.concatenate([np.full(len(f[0]), f[3]) for f in faces] or [np.zeros(0)])
        visible = np.array(
            [_visible(owner, box, n) for box, n in zip(boxes, numbers, strict=True)]
        ).reshape(-1)
        # A mostly cropped face counts neither as a face nor as background.
        confidence = np.where(visible < 0.6, np.minimum(confidence, 0.5), confidence)
        kept = visible > 0.1
        return _photographed(canvas, rng), boxes[kept], landmarks[kept], confidence[kept]

    def _background(self, rng: np.random.Generator) -> Picture:
        import cv2

        side = self._side
        if rng.random() < 0.1:
            return np.full((side, side), rng.integers(256), np.uint8)
        pixels = self._without[rng.integers(len(self._without))].pixels
        part = rng.uniform(0.4, 1.0) * min(pixels.shape)
        top = int(rng.uniform(0, pixels.shape[0] - part))
        left = int(rng.uniform(0, pixels.shape[1] - part))
        cutting = pixels[top : top + max(8, int(part)), left : left + max(8, int(part))]
        cutting = cutting[:, ::-1] if rng.random() < 0.5 else cutting
        return cast(Picture, cv2.resize(cutting, (side, side), interpolation=cv2.INTER_AREA))


def _paste(
    canvas: Picture,
    owner: NDArray[np.int16],
    source: Labelled,
    number: int,
    natural: bool,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Paste a picture, rotated and scaled by one of its faces; return its faces.

    With ``natural``, the picture's background covers the canvas.
    """
    import cv2

    side = len(canvas)
    chosen = rng.choice(np.flatnonzero(source.confidence >= SURE))
    height = float(source.boxes[chosen, 3] - source.boxes[chosen, 1])
    wanted = float(np.exp(rng.uniform(np.log(14), np.log(0.9 * side))))
    if natural:
        wanted = max(wanted, height * side / min(source.pixels.shape) * 0.8)
    scale = min(wanted / height, 4.0)
    # Area averaging first, as on the device: the rotation alone would skip pixels.
    source = _smaller(source, scale)
    box = source.boxes[chosen]
    height, scale = float(box[3] - box[1]), max(scale, 1.0)
    angle = float(rng.normal(0, 12) if rng.random() < 0.9 else rng.uniform(-70, 70))
    mirror = bool(rng.random() < 0.5)
    place = rng.uniform(0.05, 0.95, 2) * side
    matrix = _turn((box[:2] + box[2:]) / 2, place, scale, angle, mirror)
    warped = cv2.warpAffine(
        source.pixels, matrix, (side, side), flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_REPLICATE if natural else cv2.BORDER_CONSTANT,
    )  # fmt: skip
    mask: NDArray[Any] = np.full(source.pixels.shape, 255, np.uint8)
    soft = not natural and rng.random() < 0.5
    if soft:
        mask[:] = 0
        centre = tuple(int(v) for v in (box[:2] + box[2:]) / 2)
        radii = (int(height * rng.uniform(0.5, 0.9)), int(height * rng.uniform(0.65, 0.9)))
        cv2.ellipse(mask, centre, radii, 0, 0, 360, 255, -1)
    mask = cv2.warpAffine(mask, matrix, (side, side))
    if natural:
        mask = np.where(owner == 0, 255, mask).astype(np.uint8)
    if soft:
        mask = cv2.blur(mask, (max(3, int(wanted * 0.1) | 1),) * 2)
    share = mask.astype(np.float32) / 255
    canvas[:] = (canvas * (1 - share) + warped * share).astype(np.uint8)
    owner[mask > 127] = number
    return _moved(source, matrix, scale, angle, mirror)


def _turn(
    centre: Array, place: NDArray[np.float64], scale: float, angle: float, mirror: bool
) -> Array:
    a = np.deg2rad(angle)
    turn = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    if mirror:
        turn = turn @ np.diag([-1.0, 1.0])
    return np.hstack([turn, (place - turn @ centre)[:, None]]).astype(np.float32)


def _moved(
    source: Labelled, matrix: Array, scale: float, angle: float, mirror: bool
) -> tuple[Array, Array, Array]:
    middle = (source.boxes[:, :2] + source.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    width, height = (source.boxes[:, 2:] - source.boxes[:, :2]).T * scale
    a = np.deg2rad(angle)
    # Axis-aligned bounding box of a rotated ellipse.
    wide = np.hypot(width * np.cos(a), height * np.sin(a)) / 2
    high = np.hypot(width * np.sin(a), height * np.cos(a)) / 2
    half = np.stack([wide, high], 1)
    landmarks = source.landmarks @ matrix[:, :2].T + matrix[:, 2]
    if mirror:
        landmarks = landmarks[:, [1, 0, 2, 4, 3]]
    boxes = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
    return boxes, landmarks.astype(np.float32), source.confidence


def _visible(owner: NDArray[np.int16], box: Array, number: float) -> float:
    left, top, right, low = box
    inside = owner[max(0, int(top)) : max(0, int(low)), max(0, int(left)) : max(0, int(right))]
    return float((inside == number).sum() / max(1.0, (right - left) * (low - top)))


def _photographed(canvas: Picture, rng: np.random.Generator) -> Picture:
    """Simulate a camera: light, contrast, blur, noise and compression."""
    import cv2

    x: NDArray[Any] = (canvas / 255.0) ** rng.uniform(0.5, 2.0)
    if rng.random() < 0.25:
        x = x * np.exp(rng.uniform(np.log(0.05), 0.0))
    if rng.random() < 0.3:
        x = (x - x.mean()) * rng.uniform(0.4, 1.6) + x.mean() + rng.uniform(-0.15, 0.15)
    if rng.random() < 0.3:
        ramp = np.linspace(-1, 1, len(x))
        slope = rng.normal(size=2) * 0.4
        x = x * np.clip(1 + slope[0] * ramp[:, None] + slope[1] * ramp[None], 0.1, 2)
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.5:
        x = x + rng.normal(0, rng.uniform(0, 0.04), x.shape)
    pixels: Picture = np.clip(x * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(
            ".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        )
        pixels = cast(Picture, cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
    return pixels
