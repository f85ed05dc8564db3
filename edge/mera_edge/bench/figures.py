"""Percentiles and linear regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95, p99 and max; ``None`` without values."""
    if not values:
        return None
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    named = {"p50": p50, "p95": p95, "p99": p99, "max": max(values)}
    return {name: round(float(value), 3) for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Slope:
    """A least-squares slope."""

    value: float
    error: float
    """Its standard error, assuming independent residuals."""

    def exceeds(self, limit: float) -> bool:
        """Whether it is above ``limit`` by more than twice its standard error."""
        return self.value - 2 * self.error > limit


def slope(times: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit ``value = a + slope * time`` to at least three points."""
    t, v = np.asarray(times, float), np.asarray(values, float)
    t = t - t.mean()
    square = float(t @ t)
    value = float(t @ v) / square
    residuals = v - v.mean() - value * t
    error = float(np.sqrt(residuals @ residuals / (len(t) - 2) / square))
    return Slope(round(value, 4), round(error, 4))
