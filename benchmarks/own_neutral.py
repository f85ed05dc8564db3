"""Whether a person's own neutral voice makes the voice encoder's answers better.

    python benchmarks/own_neutral.py DATA

DATA holds ``ravdess_speech``, ``emodb_4class`` and ``urdu``, each with a ``manifest.csv``. Answers
are shifted by ``weight · (log usual − log own)``, where *own* is what the encoder says of that
speaker, and *usual* the mean of it over the speakers from whom the weight was chosen. Four ways to
know a speaker: a resting voice (the first neutral recordings, three seconds of them, which are left
out of the figures); without a label, all recordings, as if they were known in advance; those heard
before; those heard before that were taken for neutral. The last two begin with *usual*, which
counts as ten recordings, and hear the recordings in a random order.

Chosen on half of the speakers of each corpus, reported on the others.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.evaluation.role_evaluators import samples_of
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.labels import EMOTIONS, to_emotion
from mera_train.voice.strangers import VoicePredictor

CORPORA = ("ravdess_speech", "emodb_4class", "urdu")
ONLY = {"ravdess_speech": {"21", "22"}}
"""Actors whom the encoder did not learn from; 23 and 24 are for its own test."""
RESTING_S = 3.0
EARLY = 10
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

Floats = NDArray[np.float64]
Heard = dict[str, list[tuple[str, Floats, float]]]
"""By speaker: label, log-probabilities ``[7]`` and seconds of each recording."""
Part = tuple[Floats, list[tuple[str, Floats]]]
"""The mean answer to a resting voice, and the other recordings."""
Parts = dict[str, Part]
"""By speaker."""


def hear(folder: Path, only: set[str] | None) -> Heard:
    """Ask the voice encoder about every recording of a corpus."""
    predictor, heard = VoicePredictor(Bundle.open()), defaultdict(list)
    with (folder / "manifest.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            speaker = row.get("speaker") or row["actor"]
            if only and speaker not in only:
                continue
            samples = samples_of(str(folder / row["file"]))
            shares = predictor.predict(samples)
            if shares is not None:
                logs = np.log(np.maximum(shares, 1e-4)).astype(np.float64)
                seconds = len(samples) / SAMPLE_RATE
                heard[speaker].append((to_emotion(row["emotion"]), logs, seconds))
    return dict(heard)


def split(speaker: Sequence[tuple[str, Floats, float]]) -> Part:
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


def resting(part: Part, usual: Floats) -> list[Floats]:
    """Return the answer to the resting voice, for each other recording."""
    own, others = part
    return [own] * len(others)


def all_speech(part: Part, usual: Floats) -> list[Floats]:
    """Return the mean answer to all other recordings, for each of them."""
    mean = np.asarray(np.mean([logs for _, logs in part[1]], axis=0))
    return [mean] * len(part[1])


def heard_before(part: Part, usual: Floats) -> list[Floats]:
    """Return for each other recording the mean answer to those before it."""
    return _before(part, usual, lambda logs: True)


def neutral_before(part: Part, usual: Floats) -> list[Floats]:
    """Return the same, of those only that were taken for neutral."""
    return _before(part, usual, lambda logs: int(logs.argmax()) == EMOTIONS.index("neutral"))


def _before(part: Part, usual: Floats, counts: Callable[[Floats], bool]) -> list[Floats]:
    total, number, found = EARLY * usual, float(EARLY), []
    for _, logs in part[1]:
        found.append(total / number)
        if counts(logs):
            total, number = total + logs, number + 1
    return found


WAYS: dict[str, Callable[[Part, Floats], list[Floats]]] = {
    "resting voice": resting,
    "all speech": all_speech,
    "heard before": heard_before,
    "neutral before": neutral_before,
}


def usually(name: str, parts: Parts) -> Floats:
    """Return what is usual for speakers, known in that way."""
    if name in ("resting voice", "all speech"):
        known = [WAYS[name](part, np.zeros(7))[0] for part in parts.values()]
    else:
        logs = np.array([logs for _, others in parts.values() for _, logs in others])
        neutral = logs.argmax(axis=1) == EMOTIONS.index("neutral")
        known = list(logs[neutral] if name == "neutral before" else logs)
    return np.asarray(np.mean(known, axis=0))


def figures(parts: Parts, usual: Floats, way: str) -> list[float]:
    """Return the recall at each weight."""
    pairs = [pair for _, others in parts.values() for pair in others]
    moved = [usual - own for part in parts.values() for own in WAYS[way](part, usual)]
    return [recall(pairs, [weight * shift for shift in moved]) for weight in WEIGHTS]


def main() -> None:
    """Print a row for each corpus, half and way."""
    weights = " | ".join(f"{weight:g}" for weight in WEIGHTS)
    print(f"| corpus, half of its speakers | known by | {weights} |")
    print("| --- | --- |" + " --- |" * len(WEIGHTS))
    random = np.random.default_rng(0)
    for corpus in CORPORA:
        heard = hear(Path(sys.argv[1]) / corpus, ONLY.get(corpus))
        parts = {name: split(heard[name]) for name in sorted(heard)}
        parts = {name: part for name, part in parts.items() if np.isfinite(part[0]).all()}
        for _, others in parts.values():
            order = random.permutation(len(others))
            others[:] = [others[i] for i in order]
        halves = dict(list(parts.items())[::2]), dict(list(parts.items())[1::2])
        for way in WAYS:
            usual = usually(way, halves[0])
            for half, some in zip(("chosen on", "asked once"), halves, strict=True):
                row = " | ".join(f"{value:.3f}" for value in figures(some, usual, way))
                print(f"| {corpus}, {half} ({len(some)}) | {way} | {row} |", flush=True)


if __name__ == "__main__":
    main()
