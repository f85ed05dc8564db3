"""Metrics of confusion matrices, and their 95 % intervals by bootstrap (Efron, 1979)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEAST_GROUPS = 10
"""Minimum number of groups to resample; with fewer the interval is meaningless."""

Counts = NDArray[np.integer] | NDArray[np.floating]


def by_label(
    confusion: Counts, silent: Counts
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return precision, recall and F1 ``[..., C]``, given confusion matrices ``[..., C, C]`` and
    numbers of unanswered rows ``[..., C]``; 0 for labels without rows."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    precision = hits / np.maximum(confusion.sum(axis=-2), 1e-12)
    recall = hits / np.maximum(confusion.sum(axis=-1) + silent, 1e-12)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def figures(confusion: Counts, silent: Counts) -> dict[str, NDArray[np.float64]]:
    """Return ``accuracy``, ``uar``, ``macro_f1`` and ``weighted_f1``, each ``[...]``, given
    confusion matrices ``[..., C, C]`` and numbers of unanswered rows ``[..., C]``. Labels without
    rows do not count."""
    _, recall, f1 = by_label(confusion, silent)
    support = confusion.sum(axis=-1) + silent
    there, rows = support > 0, support.sum(axis=-1)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).sum(axis=-1)
    return {
        "accuracy": hits / rows,
        "uar": (recall * there).sum(axis=-1) / there.sum(axis=-1),
        "macro_f1": (f1 * there).sum(axis=-1) / there.sum(axis=-1),
        "weighted_f1": (f1 * support).sum(axis=-1) / rows,
    }


def intervals(confusion: Counts, silent: Counts) -> dict[str, list[float]]:
    """Return the 95 % intervals of all `figures`, taking rows as independent.

    Accuracy by `wilson`, the others by percentile bootstrap: resampling rows is equivalent to
    resampling the cells of the confusion matrix.
    """
    cells = np.column_stack([confusion, silent]).astype(np.float64)
    n = int(cells.sum())
    drawn = np.random.default_rng(0).multinomial(n, cells.ravel() / n, RESAMPLES)
    found = percentiles(drawn.reshape(RESAMPLES, *cells.shape))
    return {**found, "accuracy": wilson(int(confusion.diagonal().sum()), n)}


def intervals_by_group(cells: Counts) -> dict[str, Any]:
    """Return ``interval_95`` and ``effective_n`` by bootstrap over groups of rows.

    Args:
        cells: number of rows per group (a person, a recording), truth and answer; the last answer
            means none: ``[G, C, C + 1]``.
    """
    return of_draws(np.tensordot(draws(len(cells)), cells, 1), cells.sum(axis=0))


def draws(n: int) -> NDArray[np.int64]:
    """Return the bootstrap weights: how often each of ``n`` items is drawn, ``[R, n]``."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)


def drawn_rates(counts: Counts) -> NDArray[np.float64]:
    """Return the bootstrapped rates ``[R]`` of ``n`` items, given hits and tries ``[n, 2]``."""
    drawn = draws(len(counts)) @ counts
    rates: NDArray[np.float64] = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    return rates


def paired_interval(cells: Counts, figure: str) -> list[float]:
    """Return the 95 % interval of how much larger a figure is for one model than for another.

    Args:
        cells: rows of each group (a person's, or a single row) by truth and answer of both models,
            the last answer is none: ``[2, G, C, C + 1]``. Both are drawn together.
        figure: one of `figures`.
    """
    drawn = np.tensordot(draws(cells.shape[1]), cells, (1, 1))
    one, other = (figures(d[..., :-1], d[..., -1])[figure] for d in np.moveaxis(drawn, 1, 0))
    return [float(edge) for edge in np.percentile(one - other, (2.5, 97.5))]


def of_draws(drawn: Counts, cells: Counts) -> dict[str, Any]:
    """Return ``interval_95`` and ``effective_n``: the number of independent rows for which the
    accuracy would have the same variance.

    Args:
        drawn: bootstrap resamples, ``[R, C, C + 1]``; not necessarily integers.
        cells: the measurement, ``[C, C + 1]``.
    """
    accuracies = figures(drawn[..., :-1], drawn[..., -1])["accuracy"]
    accuracy, n = float(figures(cells[:, :-1], cells[:, -1])["accuracy"]), int(cells.sum())
    variance = float(accuracies.var())
    effective = accuracy * (1 - accuracy) / variance if variance else n
    return {"interval_95": percentiles(drawn), "effective_n": min(n, round(effective))}


def percentiles(drawn: Counts) -> dict[str, list[float]]:
    """Return the 2.5th and 97.5th percentiles of all `figures` over resamples ``[R, C, C + 1]``."""
    found = figures(drawn[..., :-1], drawn[..., -1])
    return {name: np.percentile(v, (2.5, 97.5)).tolist() for name, v in found.items()}


def wilson(hits: float, n: int) -> list[float]:
    """Return the 95 % score interval of the proportion ``hits / n`` (Wilson, 1927)."""
    z = 1.959964
    middle = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(hits * (n - hits) / n + z**2 / 4)
    return [max(0.0, middle - half), min(1.0, middle + half)]
