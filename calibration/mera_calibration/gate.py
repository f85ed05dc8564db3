"""Whether a smaller precision is as good as the full one and worth having."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mera_calibration.samples import Sample
from mera_calibration.subjects import Answer, Score, Subject, difference, same
from mera_edge.bundle import Bundle

Prefer = Literal["speed", "size"]

STREAMING_TOLERANCE = 1e-4
"""Largest difference between a stream in uneven pieces and the same sound at once."""

_PIECE = 7
"""Frames: no divisor of any chunk."""
_STREAMS = 8


@dataclass(frozen=True)
class Limits:
    """What a smaller precision may cost."""

    max_drop: float = 0.5
    """Points (hundredths) of the task metric."""
    max_ece: float = 0.02
    """Rise of the expected calibration error."""
    prefer: Prefer = "speed"
    """What it must win: time, or at least size."""


@dataclass(frozen=True)
class Side:
    """One precision, measured."""

    bytes: int
    score: Score
    median_ms: float | None
    """Of one run of the model on one thread; the two sides took turns. ``None``: not timed."""


@dataclass(frozen=True)
class Comparison:
    """Two precisions side by side, on the same development material."""

    full: Side
    small: Side
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


def quality(comparison: Comparison, limits: Limits) -> list[str]:
    """Return why the smaller is not as good; nothing when it is."""
    reasons = []
    # Written this way round so that NaN fails too.
    if not comparison.drop <= limits.max_drop:
        reasons.append(
            f"the task metric drops by {comparison.drop:.2f} points, {limits.max_drop:g} allowed"
        )
    before, after = comparison.full.score.ece, comparison.small.score.ece
    if before is not None and after is not None and not after - before <= limits.max_ece:
        reasons.append(
            f"the calibration error rises by {after - before:.3f}, {limits.max_ece:g} allowed"
        )
    if comparison.streaming is not None and not comparison.streaming <= STREAMING_TOLERANCE:
        reasons.append(f"streaming and offline differ by {comparison.streaming:.2g}")
    return reasons


def worth(comparison: Comparison, limits: Limits) -> list[str]:
    """Return why the smaller is not worth having; nothing when it is."""
    full, small = comparison.full, comparison.small
    if limits.prefer == "size" or full.median_ms is None or small.median_ms is None:
        ratio = small.bytes / full.bytes
        return [] if ratio < 1 else [f"it is not smaller (ratio {ratio:.2f})"]
    ratio = small.median_ms / full.median_ms
    return [] if ratio < 1 else [f"it is not faster (ratio of times {ratio:.2f})"]


def answers(subject: Subject, bundle: Bundle, samples: Sequence[Sample]) -> list[Answer]:
    """Ask a bundle about every sample."""
    listen = subject.listen(bundle)
    return [listen(sample.given) for sample in samples]


def agreement(one: Sequence[Answer], other: Sequence[Answer]) -> float:
    """Return the share of equal answers."""
    return sum(same(a, b) for a, b in zip(one, other, strict=True)) / len(one)


def stream_difference(subject: Subject, bundle: Bundle, samples: Sequence[Sample]) -> float | None:
    """Hear a few samples in uneven pieces and at once; return the largest difference."""
    if not subject.streaming:
        return None
    listen = subject.listen(bundle)
    return max(
        difference(listen(sample.given, _PIECE), listen(sample.given))
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
