"""Evaluation of a face encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mera_edge.labels import EMOTIONS
from mera_edge.metrics.classification import classification, mistakes
from mera_train.face.data import (
    LABELS,
    VALENCES,
    Faces,
    is_face,
    majority,
    plurality,
    shares,
)
from mera_train.face.disturbances import DISTURBANCES, disturbed
from mera_train.face.model import FaceNet


def infer(
    model: FaceNet, faces: Faces
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits ``[n, 8]``, FER2013 logits ``[n, 7]`` and valences ``[n]`` of a split."""
    device = next(model.parameters()).device
    model.eval()
    parts: list[list[NDArray[np.float32]]] = [[], [], []]
    with torch.inference_mode():
        for pictures in torch.from_numpy(faces.pictures)[:, None].split(256):
            for part, value in zip(parts, model(pictures.float().to(device)), strict=False):
                part.append(value.float().cpu().numpy())
    logits, fer2013, valence = (np.concatenate(part) for part in parts)
    return logits, fer2013, valence[:, 0]


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Return probabilities ``[n, C]`` of logits ``[n, C]`` divided by ``temperature`` (> 0)."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
    return shares


def summary(
    logits: NDArray[np.float32], fer2013: NDArray[np.float32], faces: Faces
) -> dict[str, float]:
    """Return the metrics for model selection."""
    half = score(softmax(logits), majority(faces.votes))
    most = score(softmax(logits), plurality(faces.votes))
    other = score(softmax(fer2013), faces.fer2013, EMOTIONS)
    return {
        "accuracy": most["accuracy"],
        "uar": most["uar"],
        "ece": most["ece"],
        "majority_accuracy": half["accuracy"],
        "fer2013_accuracy": other["accuracy"],
    }


def score(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    names: tuple[str, ...] = LABELS,
) -> dict[str, Any]:
    """Compare with label indices; -1 means no label."""
    rows = truth >= 0
    return classification([names[i] for i in truth[rows]], probabilities[rows], names)


def measured(model: FaceNet, faces: dict[str, Faces], further: Faces | None) -> dict[str, Any]:
    """Return all metrics of a trained model.

    Args:
        model: the network and its temperature.
        faces: FER+, by split.
        further: additional faces used for model selection.
    """
    test = faces["test"].at(majority(faces["test"].votes) >= 0)
    return {
        "valid": measure(model, faces["valid"]),
        "test": measure(model, faces["test"]),
        "mistakes": {
            "FER+ test": mistakes(
                test.names,
                [LABELS[i] for i in majority(test.votes)],
                softmax(infer(model, test)[0], float(model.temperature)),
                LABELS,
            )
        },
        "disturbed": {
            name: measure(model, disturbed(faces["test"], name))["majority"]["accuracy"]
            for name in DISTURBANCES
        },
        **({"further_valid": _rated(model, further)} if further else {}),
    }


def _rated(model: FaceNet, faces: Faces) -> dict[str, Any]:
    shares = softmax(infer(model, faces)[0], float(model.temperature))
    return score(shares, plurality(faces.votes))


def measure(model: FaceNet, faces: Faces) -> dict[str, Any]:
    """Return the metrics of a split in full.

    ``majority``: FER+'s eight labels by its authors' protocol; ``plurality``: including rows
    without a majority label; ``fer2013``: FER2013's seven labels, predicted by their own head;
    ``valence_mae``: mean absolute error of the valence.
    """
    logits, fer2013, valence = infer(model, faces)
    temperature = float(model.temperature)
    rated = is_face(faces.votes)
    target = shares(faces.votes) @ VALENCES
    return {
        "majority": score(softmax(logits, temperature), majority(faces.votes), LABELS),
        "plurality": score(softmax(logits, temperature), plurality(faces.votes), LABELS),
        "fer2013": score(softmax(fer2013), faces.fer2013, EMOTIONS),
        "valence_mae": float(np.abs(valence - target)[rated].mean()),
    }
