"""Make the clip of an empty room: a textured wall that a noisy camera sees, and faint noise.

    python benchmarks/empty_room.py CLIP

`mera-edge bench CLIP --realtime --json` then says what an empty, silent room costs.
"""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import cv2
import numpy as np

SECONDS, PICTURES_PER_S, SIZE, RATE = 18, 25, (480, 640), 16_000


def main(clip: str) -> None:
    random = np.random.default_rng(0)
    grain = random.normal(0, 1, (*SIZE, 3)).astype(np.float32)
    wall = 128 + 60 * cv2.GaussianBlur(grain, (0, 0), 4) + 120 * cv2.GaussianBlur(grain, (0, 0), 20)
    sound = random.normal(0, 0.0005, SECONDS * RATE).astype(np.float32)
    with av.open(clip, "w") as container:
        pictures = container.add_stream("libx264", rate=PICTURES_PER_S)
        pictures.height, pictures.width = SIZE
        pictures.pix_fmt = "yuv420p"
        track = container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(SECONDS * PICTURES_PER_S):
            noisy = wall + random.normal(0, 2, wall.shape)
            frame = av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), format="bgr24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for start in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], "fltp", "mono")
            frame.rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))


if __name__ == "__main__":
    main(sys.argv[1])
