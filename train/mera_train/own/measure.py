"""How an encoder does on the test examples, beside the shipped one."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.evaluation.evaluate import answers
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Prediction
from mera_edge.metrics.classification import mistakes
from mera_train.own.encoder import Network
from mera_train.own.examples import Example
from mera_train.own.task import OwnTask, classification_metrics, rows_of

ANSWERS = "answers.csv"
"""Beside a checkpoint: what it and the shipped encoder answer to each test example."""


def measured(
    task: OwnTask[Network], model: Network, examples: Sequence[Example]
) -> tuple[dict[str, Any], str]:
    """Return the metrics ``valid``, ``test``, ``shipped`` and ``mistakes``, and `ANSWERS`.

    Where the person of every test example is known, the intervals draw people.
    """
    encoder, rows = task.encoder, rows_of(examples, "test")
    test = [examples[i] for i in rows]
    names, known = [e.label for e in test], task.people(rows)
    shipped, evaluator = Bundle.open(), ROLE_EVALUATORS[encoder.role]
    files = [str(e.path) if encoder.kind == "file" else e.given for e in test]
    outputs, theirs = answers(encoder.role, shipped, files), evaluator.labels(shipped)
    scores = encoder.scores(model, rows)
    shares = scores.softmax(1).numpy()
    metrics = {
        "valid": task.classification_metrics(model, task.valid),
        "test": classification_metrics(
            scores, [task.truth[i] for i in rows], encoder.labels, known
        ),
        "shipped": evaluator.figures(names, outputs, theirs, known),
        "mistakes": {"test": mistakes([e.given for e in test], names, shares, encoder.labels)},
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([encoder.kind, "label", "person", "answer", "shipped"])
    for e, share, output in zip(test, shares, outputs, strict=True):
        said = (
            _likeliest(output.probabilities, theirs, names)
            if isinstance(output, Prediction)
            else ""
        )
        writer.writerow(
            [e.given, e.label, e.person, _likeliest(share, encoder.labels, names), said]
        )
    return metrics, text.getvalue()


def _likeliest(
    probabilities: NDArray[np.floating], labels: Sequence[str], occurring: Collection[str]
) -> str:
    """Return the likeliest of the labels that occur."""
    shares = dict(zip(labels, probabilities, strict=True))
    return max((label for label in labels if label in occurring), key=shares.__getitem__)
