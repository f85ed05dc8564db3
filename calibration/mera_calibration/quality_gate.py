"""Whether a smaller precision is as good as the full one and worth having."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mera_calibration.calibration_set import Sample
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import (
    ROLE_EVALUATORS,
    Output,
    Prediction,
    RoleEvaluator,
)

Prefer = Literal["speed", "size"]

STREAMING_TOLERANCE = 1e-4
"""Largest difference between a stream in uneven pieces and the same sound at once."""

_PIECE = 7
"""Frames: no divisor of any chunk."""
_STREAMS = 8


def evaluator(role: RoleName) -> RoleEvaluator:
    """Return how a role is judged.

    Raises:
        InputError: the role stays in full precision.
    """
    if role not in ROLE_EVALUATORS:
        raise InputError(
            f"{role} is not quantized: it is so small that INT8 would save nothing",
            f"INT8 is for {', '.join(ROLE_EVALUATORS)}",
        )
    return ROLE_EVALUATORS[role]


@dataclass(frozen=True)
class Score:
    """How good answers are. Shares from 0 to 1, more is better, but for `ece`."""

    metric: float
    ece: float | None
    """Expected calibration error; ``None`` for a recognizer."""
    per_class: dict[str, float]
    """Recall by label."""
    support: dict[str, int] = field(default_factory=dict)
    """Examples by label."""


@dataclass(frozen=True)
class AcceptanceLimits:
    """What a smaller precision may cost."""

    max_drop: float = 0.5
    """Points (hundredths) of the task metric."""
    max_class_drop: float = 5.0
    """Points of recall that any class may lose, or one example where that is more."""
    max_ece: float = 0.02
    """Rise of the expected calibration error."""
    prefer: Prefer = "speed"
    """What it must win: time, or at least size."""


@dataclass(frozen=True)
class Measurement:
    """One precision, measured."""

    bytes: int
    score: Score
    median_ms: float | None
    """Of one run of the model on one thread; the two sides took turns. ``None``: not timed."""


@dataclass(frozen=True)
class Comparison:
    """Two precisions side by side, on the same development material."""

    full: Measurement
    small: Measurement
    n: int
    agreement: float
    """Share of examples with the same answer."""
    streaming: float | None
    """Largest difference between the smaller in pieces and at once; ``None`` without memory."""

    @property
    def drop(self) -> float:
        """Points of the task metric lost."""
        return 100 * (self.full.score.metric - self.small.score.metric)

    @property
    def class_drops(self) -> dict[str, float]:
        """Points of recall lost, by class."""
        before, after = self.full.score.per_class, self.small.score.per_class
        return {name: 100 * (before[name] - after[name]) for name in before}


def quality_failures(comparison: Comparison, limits: AcceptanceLimits) -> list[str]:
    """Return why the smaller is not as good; nothing when it is."""
    reasons = []
    # Written this way round so that NaN fails too.
    if not comparison.drop <= limits.max_drop:
        reasons.append(
            f"the task metric drops by {comparison.drop:.2f} points, {limits.max_drop:g} allowed"
        )
    support = comparison.full.score.support
    for name, lost in comparison.class_drops.items():
        one = 100 / support[name] if support.get(name) else 0.0
        if not lost <= max(limits.max_class_drop, one + 1e-9):
            reasons.append(
                f"the recall of {name} drops by {lost:.2f} points (limit {limits.max_class_drop:g})"
            )
    before, after = comparison.full.score.ece, comparison.small.score.ece
    if before is not None and after is not None and not after - before <= limits.max_ece:
        reasons.append(
            f"the calibration error rises by {after - before:.3f}, {limits.max_ece:g} allowed"
        )
    if comparison.streaming is not None and not comparison.streaming <= STREAMING_TOLERANCE:
        reasons.append(f"streaming and offline differ by {comparison.streaming:.2g}")
    return reasons


def benefit_failures(comparison: Comparison, limits: AcceptanceLimits) -> list[str]:
    """Return why the smaller is not worth having; nothing when it is."""
    full, small = comparison.full, comparison.small
    if limits.prefer == "size" or full.median_ms is None or small.median_ms is None:
        ratio = small.bytes / full.bytes
        return [] if ratio < 1 else [f"it is not smaller (ratio {ratio:.2f})"]
    ratio = small.median_ms / full.median_ms
    return [] if ratio < 1 else [f"it is not faster (ratio of times {ratio:.2f})"]


def answers(role: RoleEvaluator, bundle: Bundle, samples: Sequence[Sample]) -> list[Output]:
    """Ask a bundle about every sample."""
    predict = role.predictor(bundle)
    return [predict(sample.given) for sample in samples]


def score(
    role: RoleEvaluator, truth: Sequence[str], found: Sequence[Output], labels: Sequence[str]
) -> Score:
    """Compare answers with the truth.

    Raises:
        InputError: there is nothing to compare.
    """
    figures = role.figures(truth, found, labels)
    recall = {name: row["recall"] for name, row in figures.get("per_class", {}).items()}
    support = {name: row["support"] for name, row in figures.get("per_class", {}).items()}
    return Score(role.value(figures), figures.get("ece"), recall, support)


def agreement(one: Sequence[Output], other: Sequence[Output]) -> float:
    """Return the share of equal answers."""
    return sum(same(a, b) for a, b in zip(one, other, strict=True)) / len(one)


def same(one: Output, other: Output) -> bool:
    """Whether two answers come to the same: the same words, or the same likeliest label."""
    if isinstance(one, Prediction) and isinstance(other, Prediction):
        return bool(one.probabilities.argmax() == other.probabilities.argmax())
    return one == other


def difference(one: Output, other: Output) -> float:
    """How far two answers are apart: 0 or 1 for words, else the largest gap of a probability."""
    if isinstance(one, Prediction) and isinstance(other, Prediction):
        return float(np.abs(one.probabilities - other.probabilities).max())
    return float(one != other)


def stream_difference(
    role: RoleEvaluator, bundle: Bundle, samples: Sequence[Sample]
) -> float | None:
    """Hear a few samples in uneven pieces and at once; return the largest difference."""
    if not role.streaming:
        return None
    predict = role.predictor(bundle)
    return max(
        difference(predict(sample.given, _PIECE), predict(sample.given))
        for sample in samples[:_STREAMS]
    )


def as_facts(comparison: Comparison, precision: str) -> dict[str, Any]:
    """Return what does not depend on the machine, for the manifest; ``precision`` is the smaller's.

    Times are left out: they would make every bundle another one.
    """
    sides = {"fp32": comparison.full, precision: comparison.small}
    return {
        "split": "dev",
        "n": comparison.n,
        "agreement": round(comparison.agreement, 4),
        **{
            name: {
                "metric": round(side.score.metric, 4),
                "ece": None if side.score.ece is None else round(side.score.ece, 4),
                "bytes": side.bytes,
            }
            for name, side in sides.items()
        },
        "class_drops": {name: round(drop, 2) for name, drop in comparison.class_drops.items()},
    }
