"""Whether a person's own neutral voice makes the voice encoder's answers better.

    python benchmarks/own_neutral.py DATA

DATA holds ``ravdess_speech``, ``emodb_4class`` and ``urdu``, each with a ``manifest.csv``. Of each
speaker the first neutral recordings, three seconds of them, stand for the resting voice, and are
left out of the figures. An answer is shifted by ``weight · (log usual − log own)``, where *own* is
the mean log-probability of that speaker's resting voice and *usual* the mean over the speakers from
whom the weight was chosen. Chosen on half of the speakers of
each corpus, reported on the others.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.evaluation.role_evaluators import samples_of
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.labels import EMOTIONS, to_emotion
from mera_train.voice.strangers import Ear

CORPORA = ("ravdess_speech", "emodb_4class", "urdu")
ONLY = {"ravdess_speech": {"21", "22"}}
"""Actors whom the encoder did not learn from; 23 and 24 are for its own test."""
RESTING_S = 3.0
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

Floats = NDArray[np.float64]
Heard = dict[str, list[tuple[str, Floats, float]]]
"""By speaker: label, log-probabilities ``[7]`` and seconds of each recording."""
Parts = dict[str, tuple[Floats, list[tuple[str, Floats]]]]
"""By speaker: the mean answer to the resting voice, and the other recordings."""


def hear(folder: Path, only: set[str] | None) -> Heard:
    """Ask the voice encoder about every recording of a corpus."""
    ear, heard = Ear(Bundle.open()), defaultdict(list)
    with (folder / "manifest.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            speaker = row.get("speaker") or row["actor"]
            if only and speaker not in only:
                continue
            samples = samples_of(str(folder / row["file"]))
            shares = ear.hear(samples)
            if shares is not None:
                logs = np.log(np.maximum(shares, 1e-4)).astype(np.float64)
                seconds = len(samples) / SAMPLE_RATE
                heard[speaker].append((to_emotion(row["emotion"]), logs, seconds))
    return dict(heard)


def split(speaker: Sequence[tuple[str, Floats, float]]) -> tuple[Floats, list[tuple[str, Floats]]]:
    """Return the mean answer to a resting voice, and the other recordings."""
    resting: list[Floats] = []
    others, seconds = [], 0.0
    for label, logs, length in speaker:
        if label == "neutral" and seconds < RESTING_S:
            resting.append(logs)
            seconds += length
        else:
            others.append((label, logs))
    return np.mean(resting, axis=0) if resting else np.full(7, np.nan), others


def recall(pairs: Sequence[tuple[str, Floats]], shift: Sequence[Floats]) -> float:
    """Return the unweighted average recall over the corpus's own labels."""
    labels = sorted({label for label, _ in pairs})
    columns = [EMOTIONS.index(label) for label in labels]
    hits: dict[str, list[bool]] = defaultdict(list)
    for (label, logs), moved in zip(pairs, shift, strict=True):
        hits[label].append(labels[int((logs + moved)[columns].argmax())] == label)
    return float(np.mean([np.mean(each) for each in hits.values()]))


def figures(parts: Parts, usual: Floats, resting: bool) -> list[float]:
    """Return the recall at each weight."""
    pairs = [pair for _, others in parts.values() for pair in others]
    moved = [
        usual - (own if resting else of_all(others))
        for own, others in parts.values()
        for _ in others
    ]
    return [recall(pairs, [weight * shift for shift in moved]) for weight in WEIGHTS]


def of_all(others: Sequence[tuple[str, Floats]]) -> Floats:
    """Return the mean answer to all of a speaker's recordings, whatever their labels."""
    return np.asarray(np.mean([logs for _, logs in others], axis=0))


def main() -> None:
    """Print a row for each corpus, half and way."""
    weights = " | ".join(f"{weight:g}" for weight in WEIGHTS)
    print(f"| corpus, half of its speakers | own answer to | {weights} |")
    print("| --- | --- |" + " --- |" * len(WEIGHTS))
    for corpus in CORPORA:
        heard = hear(Path(sys.argv[1]) / corpus, ONLY.get(corpus))
        parts = {name: split(heard[name]) for name in sorted(heard)}
        parts = {name: part for name, part in parts.items() if np.isfinite(part[0]).all()}
        halves = dict(list(parts.items())[::2]), dict(list(parts.items())[1::2])
        for resting in (True, False):
            own = [rest if resting else of_all(others) for rest, others in halves[0].values()]
            usual = np.asarray(np.mean(own, axis=0))
            for half, some in zip(("chosen on", "asked once"), halves, strict=True):
                row = " | ".join(f"{value:.3f}" for value in figures(some, usual, resting))
                way = "resting voice" if resting else "all speech"
                print(f"| {corpus}, {half} ({len(some)}) | {way} | {row} |", flush=True)


if __name__ == "__main__":
    main()
