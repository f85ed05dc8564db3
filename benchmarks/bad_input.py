"""Predictions for difficult or unusable input, as a Markdown table.

    python benchmarks/bad_input.py DATA PICTURES OUT

DATA has RAVDESS, EmoDB and Urdu as for training, PICTURES is a clone of
chandrikadeb7/Face-Mask-Detection. The clips are composed into OUT and given to
`mera-edge predict`, the texts to the text encoder as `mera-edge evaluate text` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Prediction
from mera_edge.events import EmotionEvent
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.labels import EMOTIONS, MODALITY_NAMES, ModalityName
from mera_train.audio import read
from mera_train.figures import markdown
from mera_train.voice.data import RAVDESS, location

Image = NDArray[np.uint8]
Samples = NDArray[np.float32]

HEIGHT, WIDTH, RATE, SECONDS = 480, 640, 5, 4
WALL = 150
SEEN: Sequence[ModalityName] = ("face",)
HEARD: Sequence[ModalityName] = ("voice", "text")
SMILE, GRAVE, COVERED, CHILD = (
    "without_mask/287.jpg", "without_mask/415.jpg", "with_mask/1.jpg",
    "without_mask/augmented_image_135.jpg",
)  # fmt: skip


def scenes(pictures: Path) -> Iterator[tuple[str, Image]]:
    """Yield pictures of a room with people in it."""

    def person(name: str, height: int = 300) -> Image:
        image = cv2.imread(str(pictures / "dataset" / name))
        return scaled(image, height)

    smile = person(SMILE)
    yield "a smiling face, 300 pixels high", room((smile, 0.5))
    yield "the same, lying down (rotated by 90 degrees)", room((np.rot90(smile), 0.5))
    yield "the same, upside down", room((np.rot90(smile, 2), 0.5))
    yield "the same with a plain mask", room((_covered(smile), 0.5))
    yield "a person with a mask", room((person(COVERED), 0.5))
    yield "the same smile, distant (60 pixels high)", room((person(SMILE, 60), 0.5))
    yield "the same, light 1/10", _dark(room((smile, 0.5)), 0.1)
    yield "the same, light 1/50", _dark(room((smile, 0.5)), 0.02)
    yield "the same, light 1/100", _dark(room((smile, 0.5)), 0.01)
    yield "the face on a screen in the room", room((_screen(person(SMILE, 200)), 0.5))
    yield "the face on a poster, nobody present", room((_framed(person(SMILE, 200)), 0.5))
    yield "two people at the same distance, one smiling", room((smile, 0.25), (person(GRAVE), 0.75))
    crowd = [scaled(one, 110) for one in (smile, person(GRAVE)) for _ in range(6)]
    yield "a crowd of twelve", _grid(crowd)
    yield "a child", room((person(CHILD), 0.5))
    yield "nobody", room()


def scaled(image: Image, height: int) -> Image:
    """Return a picture that is so high."""
    size = (round(image.shape[1] * height / image.shape[0]), height)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def room(*people: tuple[Image, float]) -> Image:
    """Return a wall with people before it, each at a share of the width."""
    wall = np.full((HEIGHT, WIDTH, 3), WALL, np.uint8)
    for image, place in people:
        height, width = image.shape[:2]
        top, left = (HEIGHT - height) // 2, round(place * WIDTH - width / 2)
        wall[top : top + height, left : left + width] = image
    return wall


def _grid(people: list[Image]) -> Image:
    wall = room()
    for number, image in enumerate(people):
        top, left = 20 + number // 4 * 150, 30 + number % 4 * 150
        wall[top : top + image.shape[0], left : left + image.shape[1]] = image
    return wall


def _covered(image: Image) -> Image:
    image = image.copy()
    height, width = image.shape[:2]
    # Nose to chin of this picture.
    image[round(0.42 * height) : round(0.68 * height), width // 4 : 3 * width // 4] = (
        200,
        190,
        180,
    )
    return image


def _dark(image: Image, light: float) -> Image:
    return np.rint(image * light).astype(np.uint8)


def _framed(image: Image) -> Image:
    return cv2.copyMakeBorder(image, 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=(240, 240, 240))


def _screen(image: Image) -> Image:
    stripes = image.astype(np.float32)
    stripes[::3] *= 0.8
    bright = np.clip(stripes * 1.2, 0, 255).astype(np.uint8)
    return cv2.copyMakeBorder(bright, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=(10, 10, 10))


def sounds(data: Path) -> Iterator[tuple[str, Samples]]:
    """Yield recordings."""

    def voice(corpus: str, name: str) -> Samples:
        return read(location(data, corpus), name)

    angry = voice(RAVDESS, "03-01-05-02-01-01-23.ogg")
    happy = voice("emodb_4class", "03a01Fa.ogg")
    time = np.arange(len(angry)) / SAMPLE_RATE
    chord = [np.sin(2 * np.pi * pitch * time) for pitch in (220, 277.2, 329.6, 440)]
    music = np.sum(chord, 0) * (0.6 + 0.4 * np.sign(np.sin(2 * np.pi * 2 * time)))
    noise = np.random.default_rng(0).normal(size=len(angry))
    yield "an angry voice", angry
    yield "the same at -50 dB", gained(angry, -50)
    yield "the same at +30 dB, clipped", gained(angry, 30)
    yield "the same with noise at 0 dB SNR", mixed(angry, noise, 0)
    yield "the same with music at 0 dB SNR", mixed(angry, music, 0)
    yield "the same with music at 10 dB SNR", mixed(angry, music, 10)
    yield "the same with a happy voice at 0 dB SNR", mixed(angry, happy, 0)
    yield "music alone", mixed(music, noise, 60)
    yield "noise alone", mixed(noise, noise, 60)
    yield "an angry voice in Urdu", voice("urdu", "angry/SM1_F10_A010.ogg")
    yield "a neutral voice in German", voice("emodb_4class", "03a01Nc.ogg")
    yield "0.2 s of speech", angry[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 5]
    yield "silence", np.zeros(3 * SAMPLE_RATE, np.float32)


def gained(samples: Samples, gain_db: float) -> Samples:
    """Return what a converter gives of them: no more than full scale."""
    return np.clip(samples * 10 ** (gain_db / 20), -1, 1).astype(np.float32)


def mixed(first: NDArray[Any], other: NDArray[Any], above_db: float) -> Samples:
    """Return both at once, the first so much louder, as long as it."""
    other = np.resize(other, len(first))
    levels = [float(np.sqrt(np.mean(np.square(s)))) + 1e-9 for s in (first, other)]
    both = first / levels[0] + other / levels[1] * 10 ** (-above_db / 20)
    return np.asarray(0.1 * both, np.float32).clip(-1, 1)


TEXTS = {
    "one word: ok": "ok",
    "one word: great": "great",
    "emoji: two laughing": "😂😂",
    "emoji: one crying": "😢",
    "digits": "3 14 15 92",
    "10,000 angry words": "i hate this and i am so angry " * 1250,
    "9,990 angry words, then ten happy ones": "i hate this and i am so angry " * 1249
    + "now i am so happy and i love you all",
    "an angry sentence in Urdu": "مجھے اس سے نفرت ہے، میں بہت غصے میں ہوں",
    "a sad sentence in German": "ich bin so traurig, ich muss weinen",
    "empty": "   ",
}


def movie(path: Path, image: Image) -> None:
    """Write some seconds of a picture, with a camera's noise."""
    random = np.random.default_rng(0)
    noise = [random.normal(0, 2, image.shape) for _ in range(3)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=RATE, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(RATE * SECONDS):
            noisy = np.clip(image + noise[number % 3], 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, format="bgr24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def predicted(files: list[Path]) -> Iterator[list[EmotionEvent]]:
    """Yield the events of each file, as the command line gives them."""
    command = [sys.executable, "-m", "mera_edge", "predict", "--json", *map(str, files)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    events: list[EmotionEvent] = []
    for line in said.splitlines():
        if json.loads(line)["schema"] == "mera-edge/event/1":
            events.append(EmotionEvent.from_json(line))
        else:
            yield events
            events = []


def table(clips: dict[str, list[EmotionEvent]], modalities: Sequence[ModalityName]) -> str:
    """Return what was said about clips: states, answer, and each modality or why there is none."""
    head = ["input", "states", "last answer", *(MODALITY_NAMES[name] for name in modalities)]
    return markdown(head, [row(name, events, modalities) for name, events in clips.items()])


def row(name: str, events: list[EmotionEvent], modalities: Sequence[ModalityName]) -> list[str]:
    """Return the line of one clip."""
    moments = Counter(event.moment.label for event in events if event.moment)
    answers = [event.emotion for event in events if event.emotion]
    answer = f"{answers[-1].label} {answers[-1].confidence:.2f}" if answers else "none"
    cells = [name, ", ".join(label for label, _ in moments.most_common()) or "none", answer]
    for modality in modalities:
        found = [event.modalities[modality] for event in events]
        said = [one.probabilities for one in found if one.probabilities]
        if said:
            label = max(said[-1], key=said[-1].__getitem__)
            note = next(
                (f"; {one.reason}" for one in found if one.probabilities and one.reason), ""
            )
            cells.append(f"{label} {said[-1][label]:.2f}{note}")
        else:
            cells.append(Counter(one.reason for one in found).most_common(1)[0][0] or "")
    return cells


def main() -> None:
    """Compose, ask, print."""
    data, pictures, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    seen, heard = {}, {}
    for number, (name, image) in enumerate(scenes(pictures)):
        seen[name] = out / f"scene{number:02}.mp4"
        movie(seen[name], image)
    for number, (name, samples) in enumerate(sounds(data)):
        heard[name] = out / f"sound{number:02}.wav"
        soundfile.write(heard[name], samples, SAMPLE_RATE)
    for clips, modalities in ((seen, SEEN), (heard, HEARD)):
        events = predicted(list(clips.values()))
        print(table(dict(zip(clips, events, strict=True)), modalities))
    print(markdown(["text", "answer"], list(_read(Bundle.open()))))


def _read(bundle: Bundle) -> Iterator[list[str]]:
    predict: Callable[[str], Any] = ROLE_EVALUATORS["text"].from_file(bundle)
    for name, text in TEXTS.items():
        found = predict(text)
        if isinstance(found, Prediction):
            best = int(found.probabilities.argmax())
            yield [name, f"{EMOTIONS[best]} {found.probabilities[best]:.2f}"]
        else:
            yield [name, "none"]


if __name__ == "__main__":
    main()
