"""Labels unlabelled pictures with boxes and landmarks of a teacher (YuNet)."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import cast

from mera_edge.features.face import Image, decode

COLUMNS = ("file", "split", "confidence", "x", "y", "width", "height",
           *(f"{axis}{i}" for i in range(5) for axis in "xy"))  # fmt: skip
"""Of the CSV: a line per face, with its box and its landmarks (right eye, left eye, nose, right and
left corner of the mouth, as the person has them) in pixels; confidence 0 where there is no face."""

LONGEST_SIDE = 640
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def label(
    folder: Path, teacher: Path, out: Path, least: float = 0.3, portraits: bool = False
) -> None:
    """Label every picture of a directory with the teacher. Every tenth picture is for validation.

    Args:
        folder: directory with pictures at any depth.
        teacher: YuNet's ONNX file.
        out: the CSV; file names are relative to its directory.
        least: minimum confidence of a face.
        portraits: skip pictures without a detected face: the teacher missed it.
    """
    import cv2

    detector = cv2.FaceDetectorYN.create(str(teacher), "", (320, 320), least)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for path in paths:
            image = decode(path.read_bytes(), str(path))
            scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            image = cast(Image, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
            detector.setInputSize(size)
            _, found = detector.detect(image)
            name = str(path.relative_to(out.parent))
            split = "valid" if hashlib.sha256(name.encode()).digest()[0] % 10 == 0 else "train"
            for row in [] if found is None else found:
                pixels = [round(float(value) / scale, 1) for value in row[:14]]
                writer.writerow([name, split, round(float(row[14]), 3), *pixels])
            if found is None and not portraits:
                writer.writerow([name, split, 0, *[0] * 14])
