"""Which blocks of a model are sensitive to INT8, and the fewest layers to keep in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_calibration.timing import interleaved
from mera_edge.engine import Engine
from mera_edge.engine.protocol import Array

MOST_BLOCKS = 24
"""Ranking costs one quantization and a few runs per block."""

Block = tuple[str, ...]
"""Names of adjacent nodes."""

Candidate = Callable[[frozenset[str]], Engine]
"""From the names of the float nodes to the engine of the otherwise quantized model."""


@dataclass(frozen=True)
class Cost:
    """Effect of quantizing a single block."""

    block: Block
    divergence: float
    """Of the outputs from those in full precision, in nats."""
    saved_us: float = 0.0
    """Time saved per run on one thread, in microseconds; negative if slower."""


def blocks(nodes: Sequence[str], most: int = MOST_BLOCKS) -> list[Block]:
    """Cut the quantizable nodes, in the order of the graph, into at most ``most`` blocks."""
    parts = np.array_split(np.array(nodes, dtype=object), min(most, len(nodes)) or 1)
    return [tuple(part) for part in parts if len(part)]


def rank(
    nodes: Sequence[str],
    candidate: Candidate,
    reference: Engine,
    feeds: Sequence[Mapping[str, Array]],
) -> list[Cost]:
    """Quantize each block alone and compare with full precision; most sensitive first.

    Args:
        nodes: all that could be quantized.
        candidate: makes an engine.
        reference: in full precision.
        feeds: a few real ones.
    """
    wanted = [reference.run(fed) for fed in feeds]
    costs = []
    for block in blocks(nodes):
        engine = candidate(frozenset(nodes) - frozenset(block))
        got = [engine.run(fed) for fed in feeds]
        divergences = [divergence(a, b) for a, b in zip(wanted, got, strict=True)]
        before, after = interleaved([reference, engine], feeds, rounds=2)
        costs.append(Cost(block, float(np.mean(divergences)), 1000 * (before - after)))
    # NaN counts as worst.
    return sorted(costs, key=lambda cost: -np.nan_to_num(cost.divergence, nan=np.inf))


def find_float_layers(
    costs: Sequence[Cost], passes: Callable[[frozenset[str]], bool]
) -> frozenset[str] | None:
    """Return the fewest sensitive blocks, as node names, with which in float the gate passes.

    The number of blocks is doubled until the gate passes, then found by bisection.

    Returns:
        ``None`` if the gate fails with a single quantized block.
    """

    def worst(count: int) -> frozenset[str]:
        return frozenset(name for cost in costs[:count] for name in cost.block)

    bad, good = 0, 1
    while good < len(costs) and not passes(worst(good)):
        bad, good = good, 2 * good
    if good >= len(costs):
        good = len(costs) - 1
        if good <= bad or not passes(worst(good)):
            return None
    while good - bad > 1:
        middle = (good + bad) // 2
        if passes(worst(middle)):
            good = middle
        else:
            bad = middle
    return worst(good)


def prune_float_layers(
    float_layers: frozenset[str],
    sizes: Mapping[str, int],
    passes: Callable[[frozenset[str]], bool],
) -> frozenset[str]:
    """Return the layers of `find_float_layers` that really have to stay in float.

    Not every layer of a sensitive block is sensitive. Layers are quantized again, the largest
    first, while the gate passes.

    Args:
        float_layers: names of nodes.
        sizes: bytes of their weights.
        passes: whether the gate passes with these nodes in float.
    """
    for name in sorted(float_layers, key=lambda name: (-sizes[name], name)):
        if passes(float_layers - {name}):
            float_layers = float_layers - {name}
    return float_layers


def divergence(wanted: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """Return the Kullback-Leibler divergence of the outputs in nats, averaged over distributions.

    Distributions are the outputs ``probabilities`` and ``log_probs``. Without one, this is the
    relative squared error of all outputs.
    """
    if "probabilities" in wanted:
        return _kl(np.log(wanted["probabilities"] + 1e-9), np.log(got["probabilities"] + 1e-9))
    if "log_probs" in wanted:
        return _kl(wanted["log_probs"], got["log_probs"])
    errors = [
        float(((wanted[name] - got[name]) ** 2).sum() / ((wanted[name] ** 2).sum() + 1e-12))
        for name in wanted
    ]
    return float(np.mean(errors))


def _kl(wanted: NDArray[np.floating], got: NDArray[np.floating]) -> float:
    return float((np.exp(wanted) * (wanted - got)).sum(-1).mean())
