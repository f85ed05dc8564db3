"""Make the sample clip: a public-domain portrait in motion, and synthesised speech.

    python edge/mera_edge/sample/make.py

Needs scikit-image (whose wheel carries NASA's portrait of Eileen Collins, public domain) and the
program espeak-ng. Not needed at run time. The portrait does not speak and the voice is a
machine's: this shows that the pipeline works, not how well.
"""

from __future__ import annotations

import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile

SECONDS, PICTURES_PER_S, SIDE, RATE = 12.0, 15, 360, 16_000

SPEECH = (
    # begins at (s), pitch, words a minute, text
    (0.4, 70, 150, "Hello there! I am so happy to see you, this is wonderful."),
    (4.6, 25, 110, "I am alone and I miss my friends."),
    (8.6, 55, 170, "Stop it now! I hate this, I am very angry."),
)

PATH = (
    # at (s), centre x, centre y, width of the view: the face is out of view from 4 to 6 s
    (0.0, 225, 150, 330),
    (3.2, 235, 130, 220),
    (3.9, 330, 340, 250),
    (6.0, 330, 340, 250),
    (6.7, 225, 140, 260),
    (9.5, 215, 125, 200),
    (12.0, 230, 150, 320),
)


def voice() -> NDArray[np.float32]:
    """Return the speech, ``[n]`` at 16 kHz."""
    sound = np.zeros(round(SECONDS * RATE), np.float32)
    for begins_s, pitch, speed, text in SPEECH:
        with tempfile.TemporaryDirectory() as directory:
            wav = Path(directory) / "speech.wav"
            subprocess.run(
                ["espeak-ng", "-v", "en-us", "-p", str(pitch), "-s", str(speed), "-w", wav, text],
                check=True,
            )
            media = MediaFile(wav)
            media.open()
            samples = media.poll(float("inf")).audio[0].samples
        start = round(begins_s * RATE)
        sound[start : start + len(samples)] += samples[: len(sound) - start]
    # A little room noise: digital silence between sentences is nothing a microphone gives.
    noise = np.random.default_rng(0).normal(0, 0.0015, len(sound)).astype(np.float32)
    return 0.7 / float(np.abs(sound).max()) * sound + noise


def pictures() -> NDArray[np.uint8]:
    """Return the portrait as a slowly moving camera sees it, ``[n, SIDE, SIDE, 3]`` (RGB)."""
    from skimage.data import astronaut

    portrait = astronaut()
    random = np.random.default_rng(0)
    times, *route = zip(*PATH, strict=True)
    frames = []
    for index in range(round(SECONDS * PICTURES_PER_S)):
        moment = index / PICTURES_PER_S
        x, y, width = (np.interp(moment, times, values) for values in route)
        tilt = 4 * np.sin(0.9 * moment)
        view = cv2.getRotationMatrix2D((float(x), float(y)), float(tilt), SIDE / float(width))
        view[0, 2] += SIDE / 2 - float(x)
        view[1, 2] += SIDE / 2 - float(y)
        frame = cv2.warpAffine(portrait, view, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        light = 1 + 0.12 * np.sin(0.7 * moment)
        grain = random.normal(0, 2, frame.shape)
        frames.append(np.clip(light * frame + grain, 0, 255).astype(np.uint8))
    return np.stack(frames)


def main() -> None:
    """Write `CLIP`."""
    with av.open(str(CLIP), "w") as container:
        video = container.add_stream("libx264", PICTURES_PER_S, options={"crf": "28"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        audio = container.add_stream("aac", RATE, layout="mono")
        audio.bit_rate = 48_000
        for index, picture in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, PICTURES_PER_S)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        sound = voice()
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode())


if __name__ == "__main__":
    main()
