"""Detection and classification of faces of people who lie down, and false positives.

    python benchmarks/lying.py FACES SCENES

Pictures of FACES (250 drawn from it) are put into a grey room, and turned by a quarter to either
side. SCENES are photographs of things, turned likewise; the bundled detector searches them.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from strangers_counted import INTERVAL, percent

from mera_edge.bundle import Bundle
from mera_edge.sources.base import VideoFrame
from mera_edge.stages.face import LYING, FaceStage
from mera_edge.stages.face_detector import SURE, face_detector, find_turned
from mera_train.figures import markdown

FACES, HEIGHT = 250, 240


def room(person: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a room with the picture in it."""
    width = min(600, max(1, round(person.shape[1] * HEIGHT / person.shape[0])))
    image = np.full((480, 640, 3), 150, np.uint8)
    image[120 : 120 + HEIGHT, 20 : 20 + width] = cv2.resize(person, (width, HEIGHT))
    return image


def pictures(folder: Path) -> list[NDArray[np.uint8]]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"})
    chosen = random.Random(1).sample(files, min(FACES, len(files)))
    read = (cv2.imread(str(file)) for file in chosen)
    return [image.astype(np.uint8) for image in read if image is not None]


def main() -> None:
    bundle = Bundle.open(None)
    stage, detector = FaceStage(bundle), face_detector(bundle)
    found: dict[str, list[bool]] = {"sits": [], "lies": [], "the same label": []}
    for person in pictures(Path(sys.argv[1])):
        image = room(person)
        stage.reset()
        sits = stage.accept(VideoFrame(image, 0.0))
        found["sits"].append(bool(sits))
        for quarters in (1, 3):
            stage.reset()
            lies = stage.accept(VideoFrame(np.ascontiguousarray(np.rot90(image, quarters)), 0.0))
            found["lies"].append(bool(lies))
            if sits and lies:
                answers = [each[0].probabilities.argmax() for each in (sits, lies)]
                found["the same label"].append(answers[0] == answers[1])
    scenes = pictures(Path(sys.argv[2]))
    for name, sides, least in (("upright", (0,), SURE), ("lying", (1, 3), LYING)):
        found[f"scenes with a face, {name}"] = [
            any(find_turned(detector, scene, side, least) for side in sides) for scene in scenes
        ]
    rows = [[name, *percent(right, 1), str(len(right))] for name, right in found.items()]
    print(markdown(["pictures", "share, %", INTERVAL, "n"], rows))


if __name__ == "__main__":
    main()
