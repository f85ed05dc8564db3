"""Metrics of a classifier, computed in one place for training, export and the verb `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError

ECE_BINS = 15


def classification(
    truth: Sequence[str], probabilities: NDArray[np.floating], names: Sequence[str]
) -> dict[str, Any]:
    """Compare predicted probabilities with true labels.

    Only labels that occur in ``truth`` count: the others' probabilities are left out and the
    rest renormalised, so that a model with seven labels can be tested on a corpus with four.

    Args:
        truth: ``n`` labels, each one of ``names``.
        probabilities: ``[n, C]`` over ``names``.
        names: the ``C`` labels.

    Returns:
        ``n``, ``accuracy``, ``uar`` (unweighted average recall), ``macro_f1``, ``weighted_f1``,
        ``ece`` (expected calibration error, 15 equal bins; Guo et al., 2017) and the
        ``reliability`` that it is made of (confidence, accuracy and number of each bin),
        ``per_class`` (precision, recall, f1 and support of each label) and ``confusion`` (truth by
        row).

    Raises:
        InputError: nothing to compare, or a true label that is not among ``names``.
    """
    if len(truth) == 0:
        raise InputError("there is nothing to evaluate", "give at least one labelled row")
    unknown = sorted(set(truth) - set(names))
    if unknown:
        raise InputError(
            f"the model does not know the label {unknown[0]!r}", f"it knows {', '.join(names)}"
        )
    labels, shares = _of_occurring(truth, probabilities, names)
    true = np.array([labels.index(name) for name in truth])
    predicted = shares.argmax(axis=1)

    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    hits = confusion.diagonal()
    support = confusion.sum(axis=1)
    recall = hits / support
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    reliability = _reliability(shares.max(axis=1), predicted == true)
    return {
        "n": len(true),
        "accuracy": float(hits.sum() / len(true)),
        "uar": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float((f1 * support).sum() / len(true)),
        "ece": sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in reliability) / len(true),
        "reliability": reliability,
        "per_class": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, name in enumerate(labels)
        },
        "confusion": {"labels": labels, "rows_are_truth": confusion.tolist()},
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
