"""Are photographs mistaken for people, and people for photographs?

    python benchmarks/stillness.py PHOTOGRAPHS CLIP...

A photograph, 200 pixels high, hangs in a grey room that a camera sees for 25 s, with 5 pictures a
second: with noise, with a light that flickers, compressed as JPEG, or moved once, as people move.
The clips show one person; each is played to and fro for 60 s.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np

from mera_edge.bundle import Bundle
from mera_edge.features.face import Image
from mera_edge.metrics.confusion import wilson
from mera_edge.sources.base import VideoFrame
from mera_edge.stages.face import FaceStage
from mera_edge.stages.stillness import STILL_AFTER_S

RATE, SECONDS, MOVED_AT_S = 5, 25, 12
HEIGHT = 200
NOISE = np.random.default_rng(1).normal(0, 1, (7, 480, 640, 3)).astype(np.float32)


def room(photograph: Image, shift: float = 0.0) -> Image:
    """Hang a photograph into a room of 480 x 640 pixels."""
    scale = HEIGHT / photograph.shape[0]
    picture = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    width = min(picture.shape[1], 500)
    wall = np.full((480, 640, 3), 120, np.uint8)
    wall[100 : 100 + HEIGHT, 70 : 70 + width] = picture[:, :width]
    move = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
    return cv2.warpAffine(wall, move, (640, 480), borderMode=cv2.BORDER_REPLICATE)


def filmed(photograph: Image, what: str) -> Iterator[Image]:
    """Yield what the camera sees; ``what`` is one of `CONDITIONS`."""
    for number in range(RATE * SECONDS):
        moved = what.startswith("moved by") and number >= RATE * MOVED_AT_S
        image = room(photograph, float(what.split()[2]) if moved else 0.0).astype(np.float32)
        if what == "light flickers by a tenth":
            image *= 1 + 0.1 * np.sin(number)
        image += NOISE[number % len(NOISE)] * (8 if what == "noise 8" else 2)
        seen = image.clip(0, 255).astype(np.uint8)
        if what == "JPEG 40":
            seen = cv2.imdecode(cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
        yield seen


CONDITIONS = ("noise 2", "noise 8", "light flickers by a tenth", "JPEG 40",
              "moved by 1 pixel", "moved by 2 pixels", "moved by 3 pixels")  # fmt: skip


def clip(path: Path, seconds: int) -> Iterator[Image]:
    """Yield the pictures of a clip, to and fro."""
    with av.open(str(path)) as container:
        step = max(1, round(float(container.streams.video[0].average_rate) / RATE))
        every = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)][::step]
    return islice(cycle(every + every[-2:0:-1]), RATE * seconds)


def still_s(stage: FaceStage, images: Iterator[Image]) -> tuple[float, float]:
    """Return the seconds in which a face was taken for a picture, and in which one was there."""
    stage.reset()
    still = seen = 0
    for number, image in enumerate(images):
        found = stage.accept(VideoFrame(image, number / RATE))
        still += stage.motionless
        seen += stage.motionless or bool(found)
    return still / RATE, seen / RATE


def main() -> None:
    """Print two tables."""
    stage = FaceStage(Bundle.open(None))
    files = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_file())
    files = files[:: max(1, len(files) // 24)][:24]
    print("| photograph | n | taken for a picture after 20 s, % | 95 % interval |")
    print("| --- | --- | --- | --- |")
    for what in CONDITIONS:
        n = hits = 0
        for path in files:
            photograph = cv2.imread(str(path))
            found, seen = still_s(stage, filmed(photograph, what))
            if seen > STILL_AFTER_S:
                n, hits = n + 1, hits + (found > 0)
        low, high = wilson(hits, n)
        print(f"| {what} | {n} | {100 * hits / n:.0f} | {100 * low:.0f} to {100 * high:.0f} |")
    print("\n| clip | face seen, s | taken for a picture, s |\n| --- | --- | --- |")
    for name in sys.argv[2:]:
        found, seen = still_s(stage, clip(Path(name), 60))
        print(f"| {Path(name).name} | {seen:.0f} | {found:.0f} |")


if __name__ == "__main__":
    main()
