"""False confident words on input without English speech: silence, noise, music, other languages.

    python benchmarks/sure_words.py SECONDS NAME=MANIFEST.csv[:COLUMN=VALUE] ...

So much of each kind, in the order of its manifest, heard as one stream in ticks of 0.2 s with the
pulled final pass; silence (digital, and faint noise) and made-up music come first. A word is
shown as sure where the confidence of what it is shown in, final or not, is 0.5 or more; of every
utterance the most such words count that were shown at once.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from partial_words import hear

from mera_edge.asr import open_recognizer
from mera_edge.asr.protocol import Hypothesis
from mera_edge.bundle import Bundle
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.pipeline.transcription import LEAST_CONFIDENCE
from mera_edge.stages.vad import VoiceActivity
from mera_train import audio

PAUSE = np.zeros(SAMPLE_RATE, np.float32)


def kinds(seconds: float, given: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Return the sound of each kind, by name."""
    size = round(seconds * SAMPLE_RATE)
    faint = np.random.default_rng(0).normal(0, 0.003, size // 2)
    yield "silence", np.concatenate([np.zeros(size - size // 2), faint]).astype(np.float32)
    yield "music, made", music(size)
    for each in given:
        name, _, rest = each.partition("=")
        file, _, condition = rest.partition(":")
        column, _, value = condition.partition("=")
        manifest, parts = Path(file), []
        with manifest.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if not condition or row[column] == value:
                    parts += [audio.read(manifest.parent, row["file"]), PAUSE]
                if sum(map(len, parts)) >= size:
                    break
        yield name, np.concatenate(parts)[:size]


def music(size: int) -> np.ndarray:
    """Return chords and a tune of tones with overtones."""
    random, second = np.random.default_rng(1), np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    fade = np.exp(-3 * second)
    bars = []
    for _ in range(-(-size // len(second))):
        root = 110 * 2 ** (random.choice([0, 3, 5, 7, 8]) / 12)
        notes = [root, root * 1.26, root * 1.5, 4 * root * 2 ** (random.choice([0, 2, 4, 7]) / 12)]
        tones = [np.sin(2 * np.pi * note * k * second) / k for note in notes for k in range(1, 6)]
        bars.append(0.05 * fade * np.sum(tones, axis=0))
    return np.concatenate(bars)[:size].astype(np.float32)


def most(shown: list[Hypothesis]) -> tuple[int, int]:
    """Return the most words shown as sure at once, and the most shown at all."""
    sure = [len(h.words) for h in shown if h.confidence >= LEAST_CONFIDENCE]
    return max(sure, default=0), max((len(h.words) for h in shown), default=0)


def main() -> None:
    bundle = Bundle.open()
    recognizer, activity = open_recognizer(bundle), VoiceActivity(bundle)
    total = 0
    print(
        "| sound | minutes | words shown as sure | words shown at all |\n| --- | --- | --- | --- |"
    )
    for name, samples in kinds(float(sys.argv[1]), sys.argv[2:]):
        growing, finals = hear(recognizer, activity, samples, settle=True)
        counts = [most([*g, f]) for g, f in zip(growing, finals, strict=True)]
        sure, shown = (sum(column) for column in zip(*counts, strict=True))
        total += sure
        minutes = len(samples) / SAMPLE_RATE / 60
        print(f"| {name} | {minutes:.1f} | {sure} | {shown} |", flush=True)
    print(f"| all | | {total} | |")


if __name__ == "__main__":
    main()
