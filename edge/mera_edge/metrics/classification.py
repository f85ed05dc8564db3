"""Classification metrics, used by training, export and the verb `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.metrics.confusion import (
    LEAST_GROUPS,
    by_label,
    figures,
    intervals,
    intervals_by_group,
)

ECE_BINS = 15


def classification(
    truth: Sequence[str],
    probabilities: NDArray[np.floating],
    names: Sequence[str],
    answered: NDArray[np.bool_] | None = None,
    people: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compare predicted probabilities with true labels.

    Only labels that occur in ``truth`` count: the probabilities of others are dropped and the rest
    renormalised, so that a model with seven labels can be tested on a corpus with four. A row
    without an answer counts as wrong, whatever its label.

    Args:
        truth: ``n`` labels, each one of ``names``.
        probabilities: ``[n, C]`` over ``names``.
        names: the ``C`` labels.
        answered: ``[n]`` whether there was an answer; ``None``: all were answered.
        people: the person of each row; rows of one person are not independent.

    Returns:
        ``n``, ``unanswered``; over all rows ``accuracy``, ``uar`` (unweighted average recall),
        ``macro_f1`` and ``weighted_f1``; ``answered``: the same over the answered rows, or ``None``
        without any; ``interval_95`` of the four: with ten or more people by bootstrap over people,
        together with the ``effective_n``, otherwise with rows taken as independent, which is too
        narrow if there are several per person. Over the answered rows: ``ece`` (expected
        calibration error, 15 equal bins; Guo et al., 2017), ``None`` without any, and its
        ``reliability`` diagram (confidence, accuracy and number per bin). ``per_class``: precision,
        recall, f1, support and unanswered per label. ``confusion``: of the answered rows, truth by
        row.

    Raises:
        InputError: there are no rows, or a true label is not among ``names``.
    """
    if len(truth) == 0:
        raise InputError("no rows to evaluate", "give at least one labelled row")
    unknown = sorted(set(truth) - set(names))
    if unknown:
        raise InputError(
            f"the model does not know the label {unknown[0]!r}", f"it knows {', '.join(names)}"
        )
    labels, shares = _of_occurring(truth, probabilities, names)
    true = np.array([labels.index(name) for name in truth])
    predicted = shares.argmax(axis=1)
    said = np.ones(len(true), bool) if answered is None else answered

    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (true[said], predicted[said]), 1)
    silent = np.bincount(true[~said], minlength=len(labels))
    precision, recall, f1 = by_label(confusion, silent)
    reliability = _reliability(shares.max(axis=1)[said], (predicted == true)[said])
    gap = sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in reliability)
    return {
        "n": len(true),
        "unanswered": int(silent.sum()),
        **_figures(confusion, silent),
        "answered": {"n": int(said.sum()), **_figures(confusion, 0 * silent)}
        if said.any()
        else None,
        **_intervals(true, np.where(said, predicted, len(labels)), len(labels), people),
        "ece": gap / int(said.sum()) if said.any() else None,
        "reliability": reliability,
        "per_class": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(confusion[i].sum() + silent[i]),
                "unanswered": int(silent[i]),
            }
            for i, name in enumerate(labels)
        },
        "confusion": {"labels": labels, "rows_are_truth": confusion.tolist()},
    }


def _figures(confusion: NDArray[np.int64], silent: NDArray[np.int64]) -> dict[str, float]:
    return {name: float(value) for name, value in figures(confusion, silent).items()}


def _intervals(
    true: NDArray[np.int64],
    answers: NDArray[np.int64],
    labels: int,
    people: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the intervals, and the number of people if known."""
    names, whose = np.unique(np.zeros(len(true)) if people is None else people, return_inverse=True)
    cells = np.zeros((len(names), labels, labels + 1), np.int64)
    np.add.at(cells, (whose, true, answers), 1)
    counted = {} if people is None else {"people": len(names)}
    if len(names) >= LEAST_GROUPS:
        return {**counted, **intervals_by_group(cells)}
    total = cells.sum(axis=0)
    return {**counted, "interval_95": intervals(total[:, :-1], total[:, -1])}


def mistakes(
    rows: Sequence[str],
    truth: Sequence[str],
    probabilities: NDArray[np.floating],
    names: Sequence[str],
    count: int = 10,
) -> list[dict[str, Any]]:
    """Return the most confident mistakes: ``row``, ``truth``, ``answer``, ``confidence``.

    Args:
        rows: names of the ``n`` rows.
        truth, probabilities, names: as for `classification`.
        count: maximum number.
    """
    labels, shares = _of_occurring(truth, probabilities, names)
    confidence = shares.max(axis=1)
    answers = [labels[i] for i in shares.argmax(axis=1)]
    wrong = [i for i in np.argsort(-confidence, kind="stable") if answers[i] != truth[i]]
    return [
        {
            "row": rows[i],
            "truth": truth[i],
            "answer": answers[i],
            "confidence": round(float(confidence[i]), 3),
        }
        for i in wrong[:count]
    ]


def _of_occurring(
    truth: Sequence[str], probabilities: NDArray[np.floating], names: Sequence[str]
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the labels that occur in ``truth``, and the probabilities over them."""
    labels = [name for name in names if name in set(truth)]
    shares = probabilities[:, [list(names).index(name) for name in labels]].astype(np.float64)
    return labels, (shares + 1e-12) / (shares + 1e-12).sum(axis=1, keepdims=True)


def _reliability(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_]
) -> list[dict[str, float]]:
    """Return mean confidence, accuracy and number of rows per non-empty confidence bin."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == i].mean()),
            "accuracy": float(correct[bins == i].mean()),
            "n": int((bins == i).sum()),
        }
        for i in range(ECE_BINS)
        if (bins == i).any()
    ]
