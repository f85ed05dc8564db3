"""Calibration of word confidence in the final pass, from log-probabilities of word and utterance.

    python benchmarks/word_confidence.py MANIFEST.csv[:SPLIT[:EVERY[:MOST]]] ...

MANIFEST.csv has ``file,text``, of training speakers. Prints the logistic regression that
`mera_edge.asr.final_text.confidence` has, each manifest weighing the same, and how well it does on
thirds of the utterances that it was not fitted to: expected calibration error (ten bins), and the
area under the curve of right against wrong words. Beside it the mean probability of a token.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.moonshine import Moonshine
from mera_edge.bundle.catalogue import pulled
from mera_edge.metrics.word_error_rate import normalized
from mera_train import audio


def right(reference: list[str], heard: list[str]) -> list[bool]:
    """Return which words that were heard are right, by the alignment with the fewest errors."""
    cost = np.zeros((len(reference) + 1, len(heard) + 1), int)
    cost[:, 0], cost[0] = range(len(reference) + 1), range(len(heard) + 1)
    for i, wanted in enumerate(reference, 1):
        for j, got in enumerate(heard, 1):
            kept = cost[i - 1, j - 1] + (wanted != got)
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, kept)
    found, i, j = [False] * len(heard), len(reference), len(heard)
    while i and j:
        same = reference[i - 1] == heard[j - 1]
        if cost[i, j] == cost[i - 1, j - 1] + (not same):
            i, j = i - 1, j - 1
            found[j] = same
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return found


def fit(
    x: NDArray[np.float64], y: NDArray[np.bool_], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a weighted logistic regression by Newton's method."""
    factors = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ factors))
        slope = x.T @ (w * (y - p)) - 1e-3 * factors
        bend = (x.T * (w * p * (1 - p))) @ x + 1e-3 * np.eye(x.shape[1])
        factors += np.linalg.solve(bend, slope)
    return factors


def told(name: str, p: NDArray[np.float64], y: NDArray[np.bool_], w: NDArray[np.float64]) -> None:
    bins = np.minimum(10 * p, 9).astype(int)
    error = sum(abs((w * (y - p))[bins == each].sum()) for each in range(10)) / w.sum()
    ranks = np.empty(len(p))
    ranks[np.argsort(p)] = np.arange(len(p))
    curve = (ranks[y].mean() - (y.sum() - 1) / 2) / (~y).sum()
    print(f"{name}: expected calibration error {error:.3f}, area under the curve {curve:.3f}")


def main() -> None:
    directory = pulled("moonshine-tiny-en")
    if directory is None:
        raise SystemExit("run: mera-edge models pull moonshine-tiny-en")
    model, rows = Moonshine(directory), []
    for number, given in enumerate(sys.argv[1:]):
        file, split, every, most = (*given.split(":"), "", "", "")[:4]
        manifest = Path(file)
        with manifest.open(encoding="utf-8") as lines:
            spoken = [row for row in csv.DictReader(lines) if not split or row["split"] == split]
        for index, row in enumerate(spoken[:: int(every or 1)][: int(most or len(spoken))]):
            said = model.recognize(audio.read(manifest.parent, row["file"]))
            words = list(zip(said.text.split(), said.words, strict=True))
            heard = [(normalized(word), p) for word, p in words if normalized(word)]
            truth = right(normalized(row["text"]).split(), [word for word, _ in heard])
            for (_, p), was_right in zip(heard, truth, strict=True):
                rows.append((1.0, p, said.log_probability, was_right, number, index % 3))
    table = np.array(rows, float)
    x, y, source, third = table[:, :3], table[:, 3] == 1, table[:, 4], table[:, 5]
    w = np.array([len(table) / np.sum(source == each) for each in source])
    p = np.empty(len(table))
    for each in range(3):
        p[third == each] = 1 / (
            1 + np.exp(-x[third == each] @ fit(*(v[third != each] for v in (x, y, w))))
        )
    print(f"{len(table)} words, {y.mean():.1%} right")
    print(f"constant, word, utterance: {fit(x, y, w).round(2)}")
    told("fitted", p, y, w)
    told("mean probability of a token", np.exp(x[:, 2]), y, w)


if __name__ == "__main__":
    main()
