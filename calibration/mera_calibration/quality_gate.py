"""The quality gate: is a smaller precision as accurate as full precision, and is it a benefit?"""

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
"""Largest accepted difference between streaming in uneven chunks and offline."""

_CHUNK = 7
"""Frames; not a divisor of any model's chunk size."""
_STREAMS = 8


def evaluator(role: RoleName) -> RoleEvaluator:
    """Return the evaluator of a role.

    Raises:
        InputError: the role stays in full precision.
    """
    if role not in ROLE_EVALUATORS:
        raise InputError(
            f"{role} is not quantized: the model is too small to benefit",
            f"INT8 is for {', '.join(ROLE_EVALUATORS)}",
        )
    return ROLE_EVALUATORS[role]


@dataclass(frozen=True)
class Score:
    """Quality of predictions on labelled examples."""

    metric: float
    """The role's task metric, 0 to 1; higher is better."""
    ece: float | None
    """Expected calibration error; ``None`` for a recognizer."""
    per_class: dict[str, float]
    """Recall by label."""
    support: dict[str, int] = field(default_factory=dict)
    """Examples by label."""


@dataclass(frozen=True)
class AcceptanceLimits:
    """The losses that are accepted in a smaller precision."""

    max_drop: float = 0.5
    """Largest drop of the task metric, in percentage points."""
    max_class_drop: float = 5.0
    """Largest drop of the recall of any class, in percentage points; one example is always
    accepted."""
    max_ece: float = 0.02
    """Largest rise of the expected calibration error."""
    prefer: Prefer = "speed"
    """What has to improve."""


@dataclass(frozen=True)
class Measurement:
    """Size, quality and run time of one precision."""

    bytes: int
    score: Score
    median_ms: float | None
    """Of one run on one thread, interleaved with the other precision; ``None``: not timed."""


@dataclass(frozen=True)
class Comparison:
    """Two precisions on the same dev examples."""

    full: Measurement
    small: Measurement
    n: int
    agreement: float
    """Share of examples with the same prediction."""
    streaming: float | None
    """Largest difference between streaming and offline; ``None`` for models without state."""

    @property
    def drop(self) -> float:
        """Drop of the task metric, in points."""
        return 100 * (self.full.score.metric - self.small.score.metric)

    @property
    def class_drops(self) -> dict[str, float]:
        """Drop of recall by class, in points."""
        before, after = self.full.score.per_class, self.small.score.per_class
        return {name: 100 * (before[name] - after[name]) for name in before}


def quality_failures(comparison: Comparison, limits: AcceptanceLimits) -> list[str]:
    """Return the reasons why the smaller precision is not accurate enough, if any."""
    reasons = []
    # `not <=` rather than `>`: NaN fails too.
    if not comparison.drop <= limits.max_drop:
        reasons.append(
            f"the task metric drops by {comparison.drop:.2f} points (limit {limits.max_drop:g})"
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
            f"the calibration error rises by {after - before:.3f} (limit {limits.max_ece:g})"
        )
    if comparison.streaming is not None and not comparison.streaming <= STREAMING_TOLERANCE:
        reasons.append(f"streaming and offline differ by {comparison.streaming:.2g}")
    return reasons


def benefit_failures(comparison: Comparison, limits: AcceptanceLimits) -> list[str]:
    """Return the reasons why the smaller precision is no benefit, if any."""
    full, small = comparison.full, comparison.small
    if limits.prefer == "size" or full.median_ms is None or small.median_ms is None:
        ratio = small.bytes / full.bytes
        return [] if ratio < 1 else [f"it is not smaller (ratio {ratio:.2f})"]
    ratio = small.median_ms / full.median_ms
    return [] if ratio < 1 else [f"it is not faster (time ratio {ratio:.2f})"]


def predictions(role: RoleEvaluator, bundle: Bundle, samples: Sequence[Sample]) -> list[Output]:
    """Predict every sample with a bundle."""
    predict = role.predictor(bundle)
    return [predict(sample.inputs) for sample in samples]


def score(
    role: RoleEvaluator, truth: Sequence[str], found: Sequence[Output], labels: Sequence[str]
) -> Score:
    """Compare predictions with the truth.

    Raises:
        InputError: there is nothing to compare.
    """
    figures = role.figures(truth, found, labels)
    recall = {name: row["recall"] for name, row in figures.get("per_class", {}).items()}
    support = {name: row["support"] for name, row in figures.get("per_class", {}).items()}
    return Score(role.value(figures), figures.get("ece"), recall, support)


def agreement(one: Sequence[Output], other: Sequence[Output]) -> float:
    """Return the share of equal predictions."""
    return sum(agree(a, b) for a, b in zip(one, other, strict=True)) / len(one)


def agree(one: Output, other: Output) -> bool:
    """Whether two predictions have the same most likely label, or the same words."""
    if isinstance(one, Prediction) and isinstance(other, Prediction):
        return bool(one.probabilities.argmax() == other.probabilities.argmax())
    return one == other


def difference(one: Output, other: Output) -> float:
    """Return the largest difference of a probability; for words, 0 if equal and else 1."""
    if isinstance(one, Prediction) and isinstance(other, Prediction):
        return float(np.abs(one.probabilities - other.probabilities).max())
    return float(one != other)


def stream_difference(
    role: RoleEvaluator, bundle: Bundle, samples: Sequence[Sample]
) -> float | None:
    """Run a few samples in uneven chunks and at once; return the largest difference."""
    if not role.streaming:
        return None
    predict = role.predictor(bundle)
    return max(
        difference(predict(sample.inputs, _CHUNK), predict(sample.inputs))
        for sample in samples[:_STREAMS]
    )


def as_facts(comparison: Comparison, precision: str) -> dict[str, Any]:
    """Return the machine-independent figures for the manifest.

    Times are left out, so that the same inputs give the same bundle.

    Args:
        comparison: of full precision and ``precision``.
        precision: name of the smaller precision.
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
