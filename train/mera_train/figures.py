"""Classification metrics as Markdown tables, with 95 % intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mera_edge.metrics.confusion import intervals

NAMES = {
    "accuracy": "accuracy",
    "uar": "UAR",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "ece": "ECE",
}
PERCENT = ("accuracy", "uar")

Test = Mapping[str, Any]
"""What `mera_edge.metrics.classification.classification` said."""


def tables(tests: Mapping[str, Test], figures: Sequence[str], first: str = "test") -> str:
    """Return two tables, as one would be too wide: counts and first metric, then the others.

    The second table has short test names, without their explanations.
    """
    names = [short(name) for name in tests]
    brief = tests if len(set(names)) < len(names) else dict(zip(names, tests.values(), strict=True))
    rest = table(brief, figures[1:], first, counted=False)
    return f"{table(tests, figures[:1], first)}\n{rest}"


def short(name: str) -> str:
    """Return the name of a test without its explanation."""
    return re.split(r"; |: | \(|, a corpus|, who", name)[0]


def table(
    tests: Mapping[str, Test],
    figures: Sequence[str],
    first: str = "test",
    *,
    counted: bool = True,
) -> str:
    """Return a table with a row per test.

    Args:
        tests: results by row name.
        figures: keys of `NAMES`.
        first: heading of the first column.
        counted: whether to add labels, n and, where known, people and effective n.
    """
    known = (count for count in _COUNTS if any(count in test for test in tests.values()))
    counts = ["labels", "n", *known] if counted else []
    head = [first, *(_COUNTS.get(count, count) for count in counts)]
    for figure in figures:
        head += [NAMES[figure] + (", %" if figure in PERCENT else "")]
        head += ["95 % interval"] if figure != "ece" else []
    rows = [[name, *_row(test, counts, figures)] for name, test in tests.items()]
    return markdown(head, rows)


_COUNTS = {"people": "people", "effective_n": "effective n"}


def _row(test: Test, counts: Sequence[str], figures: Sequence[str]) -> list[str]:
    known = {**test, "labels": len(test["confusion"]["labels"])}
    cells = [f"{known[count]:,}" if count in known else "" for count in counts]
    bounds = intervals_of(test)
    for figure in figures:
        cells.append(shown(figure, test[figure]))
        if figure != "ece":
            cells.append(" to ".join(shown(figure, bound) for bound in bounds[figure]))
    return cells


def intervals_of(test: Test) -> dict[str, list[float]]:
    """Return 95 % intervals: as measured, else over rows, from the confusion matrix."""
    silent = [row.get("unanswered", 0) for row in test["per_class"].values()]
    confusion = np.array(test["confusion"]["rows_are_truth"])
    return {**intervals(confusion, np.array(silent)), **test.get("interval_95", {})}


def shown(figure: str, value: float) -> str:
    """Format a metric: shares in percent, scores from 0 to 1."""
    return f"{100 * value:.1f}" if figure in PERCENT else f"{value:.3f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
