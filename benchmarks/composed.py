"""Ablation of the fusion on composed test examples, with calibration.

    python benchmarks/composed.py DATA [CHECKPOINT]

Voices, faces and sentences of test splits are put together so that they err together, so that they
err independently, and so that some show nothing. Prints three Markdown tables:

* accuracy, the best single modality's, expected calibration error;
* how many answers are sure (a confidence of 0.8 and more) and how many of these are right, answers
  that are not among the first two of any modality;
* without words, face, voice, by how many points the answer is better than the best of the two that
  are left.

Intervals, 95 %: recordings, pictures and sentences drawn anew.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.labels import MODALITIES
from mera_edge.metrics.classification import ECE_BINS
from mera_train import checkpoint
from mera_train.figures import markdown
from mera_train.fusion.compose import Composed, Composition, compose
from mera_train.fusion.config import Config
from mera_train.fusion.evidence import collect
from mera_train.fusion.model import Mtme
from mera_train.fusion.train import EXAMPLES, answers

Flags = NDArray[np.bool_]
Weights = NDArray[np.float64]

KINDS = {
    "err together": Composition(
        examples=EXAMPLES, degraded_rate=0.4, conflict_rate=0.15, correlated_error_rate=0.6
    ),
    "err independently": Composition(
        examples=EXAMPLES, degraded_rate=0.3, conflict_rate=0.1, correlated_error_rate=0.1
    ),
    "show nothing, 30 %": Composition(
        examples=EXAMPLES,
        degraded_rate=0.4,
        conflict_rate=0.1,
        hidden_rate=0.3,
        correlated_error_rate=0.4,
    ),
}
WITHOUT = [(1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0)]
"""Without words, face, voice."""
SHIPPED = "train/checkpoints/fusion"
SURE = 0.8
DRAWS = 500


def parts(network: Mtme) -> dict[str, Mtme]:
    """Return the network, and without each of its parts."""
    found = {"shipped": network}
    for name in ("correction", "power", "temperature"):
        other = copy.deepcopy(network)
        if name == "temperature":
            other.temperature.fill_(1.0)
        else:
            layer = other.correction if name == "correction" else other.gains
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        found[f"without {name}"] = other
    return found


INTERVAL = "95 % interval"
HEADS = (
    ("accuracy, %", INTERVAL, "best single, %", "ECE", INTERVAL),
    ("sure, %", "of these right, %", INTERVAL, "no modality's, %", INTERVAL),
    ("words lost, points", "face lost, points", "voice lost, points"),
)
"""Of the columns of each table."""


def figures(network: Mtme, examples: Composed) -> tuple[list[str], ...]:
    """Return the cells of a row of each table."""
    shares = answers(network, examples, (1.0, 1.0, 1.0))[0]
    said, confidence = shares.argmax(1), shares.max(1)
    right, sure = said == examples.emotions, confidence >= SURE
    single = examples.probabilities.argmax(2) == examples.emotions[:, None]
    first_two = np.argsort(-examples.probabilities, axis=2)[:, :, :2]
    nobody = (first_two != said[:, None, None]).all(axis=(1, 2))
    draws = drawn(examples)

    def share(of: Flags, among: Flags, digits: int = 1) -> list[str]:
        found = [100 * np.average(of[among], weights=w[among]) for w in (draws[0] * 0 + 1, *draws)]
        return _told(found, digits)

    everything = np.ones(len(examples), bool)
    errors = [calibration_error(right, confidence, w) for w in (draws[0] * 0 + 1, *draws)]
    lost = []
    for kept in WITHOUT:
        left = answers(network, examples, kept)[0].argmax(1) == examples.emotions
        best = single[:, np.array(kept) > 0].mean(0).max()
        lost.append(f"{100 * (left.mean() - best):+.1f}")
    best_single = f"{100 * single.mean(0).max():.1f}"
    return (
        [*share(right, everything), best_single, *_told(errors, 3)],
        [f"{100 * sure.mean():.0f}", *share(right, sure, 0), *share(nobody, everything)],
        lost,
    )


def drawn(examples: Composed) -> Weights:
    """Return how often each example counts when its parts are drawn anew, ``[DRAWS, n]``."""
    random = np.random.default_rng(0)
    weights = np.ones((DRAWS, len(examples)))
    for column in range(len(MODALITIES)):
        found, which = np.unique(examples.items[:, column], return_inverse=True)
        even = np.full(len(found), 1 / len(found))
        weights *= random.multinomial(len(found), even, DRAWS)[:, which]
    return weights


def calibration_error(right: Flags, confidence: NDArray[np.floating], weights: Weights) -> float:
    """Return the expected calibration error of weighted answers."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, weights * (right - confidence), ECE_BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _told(found: Sequence[float], digits: int) -> list[str]:
    """Return two cells: the first figure, and the interval of the others."""
    low, high = np.nanpercentile(found[1:], (2.5, 97.5))
    return [f"{found[0]:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"]


def main() -> None:
    """Print the tables."""
    data = Path(sys.argv[1])
    loaded = checkpoint.load(Path(sys.argv[2] if len(sys.argv) > 2 else SHIPPED))
    with tempfile.TemporaryDirectory() as scratch:
        pools = collect(Bundle.open(), data, "test", Path(scratch) / "evidence.safetensors")
    widths = {name: pool.embeddings.shape[1] for name, pool in pools.items()}
    network = loaded.fill(Mtme(loaded.settings(Config).model, widths)).eval()
    tables: tuple[list[list[str]], ...] = tuple([] for _ in HEADS)
    for kind, how in KINDS.items():
        examples = compose(pools, how, 7)
        for name, part in parts(network).items():
            for rows, cells in zip(tables, figures(part, examples), strict=True):
                rows.append([kind, name, *cells])
    for head, rows in zip(HEADS, tables, strict=True):
        print(markdown(["examples", "network", *head], rows))


if __name__ == "__main__":
    main()
