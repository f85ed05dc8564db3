"""Which blocks of a model bear eight bits badly, and how few must stay in full precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_calibration.timing import interleaved
from mera_edge.engine import Engine
from mera_edge.engine.protocol import Array

MOST_BLOCKS = 24
"""Every block costs one quantization and a few runs."""

Block = tuple[str, ...]
"""Names of neighbouring nodes."""

Candidate = Callable[[frozenset[str]], Engine]
"""From the names of nodes to leave in full precision to the engine of the quantized rest."""


@dataclass(frozen=True)
class Cost:
    """What it costs to quantize one block and nothing else, and what it brings."""

    block: Block
    divergence: float
    """Of the answers from those in full precision, nats."""
    saved_us: float = 0.0
    """Microseconds that a run of the model is shorter, on one thread; negative: longer."""


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
    """Quantize each block alone and compare with full precision; the costliest first.

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
        parted = [divergence(a, b) for a, b in zip(wanted, got, strict=True)]
        before, after = interleaved([reference, engine], feeds, rounds=2)
        costs.append(Cost(block, float(np.mean(parted)), 1000 * (before - after)))
    # NaN, if any, is the worst of all.
    return sorted(costs, key=lambda cost: -np.nan_to_num(cost.divergence, nan=np.inf))


def find_float_layers(
    costs: Sequence[Cost], holds: Callable[[frozenset[str]], bool]
) -> frozenset[str] | None:
    """Return the fewest costliest blocks, as node names, without which the gate holds.

    Their number is doubled until it does and then halved back in.

    Returns:
        ``None`` when not even one quantized block is bearable.
    """

    def worst(count: int) -> frozenset[str]:
        return frozenset(name for cost in costs[:count] for name in cost.block)

    bad, good = 0, 1
    while good < len(costs) and not holds(worst(good)):
        bad, good = good, 2 * good
    if good >= len(costs):
        good = len(costs) - 1
        if good <= bad or not holds(worst(good)):
            return None
    while good - bad > 1:
        middle = (good + bad) // 2
        if holds(worst(middle)):
            good = middle
        else:
            bad = middle
    return worst(good)


def prune_float_layers(
    left: frozenset[str], sizes: Mapping[str, int], holds: Callable[[frozenset[str]], bool]
) -> frozenset[str]:
    """Return what must really stay in full precision of what `find_float_layers` left there.

    A block is as bad as its worst node. The others are quantized again, the largest first, as long
    as the gate holds.

    Args:
        left: names of nodes.
        sizes: bytes of their weights.
        holds: whether the gate does when these nodes stay in full precision.
    """
    for name in sorted(left, key=lambda name: (-sizes[name], name)):
        if holds(left - {name}):
            left = left - {name}
    return left


def divergence(wanted: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """Return the Kullback-Leibler divergence of the answers, in nats, mean over distributions.

    Distributions are outputs named ``probabilities`` and ``log_probs``; a model without any is
    compared by the relative squared error of its outputs.
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
