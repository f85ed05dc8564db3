"""Metrics of a classifier, computed in one place for training, export and the verb `evaluate`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError

ECE_BINS = 15
RESAMPLES = 1000
"""Of the bootstrap."""


def classification(
    truth: Sequence[str],
    probabilities: NDArray[np.floating],
    names: Sequence[str],
    answered: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Compare predicted probabilities with true labels.

    Only labels that occur in ``truth`` count: the others' probabilities are left out and the
    rest renormalised, so that a model with seven labels can be tested on a corpus with four.

    No answer is no answer: such a row is wrong, whatever its label is.

    Args:
        truth: ``n`` labels, each one of ``names``.
        probabilities: ``[n, C]`` over ``names``.
        names: the ``C`` labels.
        answered: ``[n]`` whether there was an answer; all where ``None``.

    Returns:
        ``n``, ``unanswered``, and over all rows ``accuracy``, ``uar`` (unweighted average recall),
        ``macro_f1``, ``weighted_f1``; the same figures over the rows with an ``answered``, or
        ``None`` where there is none; ``interval_95`` of accuracy (Wilson), ``uar`` and ``macro_f1``
        (bootstrap over rows), which takes the rows as independent: several of one person make it
        too narrow. Over the answers: ``ece`` (expected calibration error, 15 equal bins; Guo et
        al., 2017), ``None`` without any, and the ``reliability`` that it is made of (confidence,
        accuracy and number of each bin). ``per_class`` (precision, recall, f1, support and
        unanswered of each label) and ``confusion`` (truth by row, of the answers).

    Raises:
        InputError: nothing to compare, or a true label that is not among ``names``.
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
    precision, recall, f1 = _by_label(confusion, silent)
    reliability = _reliability(shares.max(axis=1)[said], (predicted == true)[said])
    gap = sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in reliability)
    return {
        "n": len(true),
        "unanswered": int(silent.sum()),
        **_figures(confusion, silent),
        "answered": {"n": int(said.sum()), **_figures(confusion, 0 * silent)}
        if said.any()
        else None,
        "interval_95": {
            "accuracy": _wilson(int(confusion.diagonal().sum()), len(true)),
            **_bootstrap(confusion, silent),
        },
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


def _by_label(
    confusion: NDArray[np.integer], silent: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return precision, recall and F1 ``[..., C]`` of confusions ``[..., C, C]`` and unanswered
    rows ``[..., C]``; 0 where a label has no row."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    precision = hits / np.maximum(confusion.sum(axis=-2), 1)
    recall = hits / np.maximum(confusion.sum(axis=-1) + silent, 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def _figures(confusion: NDArray[np.int64], silent: NDArray[np.int64]) -> dict[str, float]:
    _, recall, f1 = _by_label(confusion, silent)
    support = confusion.sum(axis=1) + silent
    there = support > 0
    return {
        "accuracy": float(confusion.diagonal().sum() / support.sum()),
        "uar": float(recall[there].mean()),
        "macro_f1": float(f1[there].mean()),
        "weighted_f1": float((f1 * support).sum() / support.sum()),
    }


def _wilson(hits: int, n: int) -> list[float]:
    """Return the 95 % score interval of a share (Wilson, 1927)."""
    z = 1.959964
    middle = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(hits * (n - hits) / n + z**2 / 4)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _bootstrap(confusion: NDArray[np.int64], silent: NDArray[np.int64]) -> dict[str, list[float]]:
    """Return the 95 % percentile intervals of UAR and macro-F1.

    Drawing rows again is drawing the cells of the confusion again. A label that a draw has no row
    of does not count in it.
    """
    cells = np.column_stack([confusion, silent])
    n = int(cells.sum())
    drawn = np.random.default_rng(0).multinomial(n, cells.ravel() / n, RESAMPLES)
    drawn = drawn.reshape(RESAMPLES, *cells.shape)
    _, recall, f1 = _by_label(drawn[..., :-1], drawn[..., -1])
    there = drawn.sum(axis=2) > 0
    means = {"uar": (recall * there).sum(1), "macro_f1": (f1 * there).sum(1)}
    return {
        name: np.percentile(total / there.sum(1), (2.5, 97.5)).tolist()
        for name, total in means.items()
    }


def mistakes(
    rows: Sequence[str],
    truth: Sequence[str],
    probabilities: NDArray[np.floating],
    names: Sequence[str],
    count: int = 10,
) -> list[dict[str, Any]]:
    """Return the wrong answers that were surest: ``row``, ``truth``, ``answer``, ``confidence``.

    Args:
        rows: what each row is called, ``n``.
        truth, probabilities, names: as for `classification`.
        count: how many at most.
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
    """Return of every bin of confidence that has answers: their mean, accuracy and number."""
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
