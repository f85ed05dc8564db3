"""Evaluation of a voice encoder on whole utterances, processed as on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.features.fbank import BINS
from mera_edge.labels import project, to_emotion
from mera_edge.metrics.classification import classification, mistakes
from mera_train.voice.data import LABELS, RAVDESS, Frames, Utterance
from mera_train.voice.model import Voice

_NEVER = -1e4


def masked_nll(
    scores: Tensor, classes: Tensor, smoothing: float, choice: Tensor | None = None
) -> Tensor:
    """Return the log loss in nats ``[B, n]`` of logits ``[B, n, C]``, with any number of true
    classes.

    Args:
        scores: logits.
        classes: 1 for true classes, else 0: ``[B, C]``.
        smoothing: label smoothing.
        choice: class mask, 0 to 1: ``[B, C]``; all classes by default.
    """
    asked = torch.ones_like(classes) if choice is None else choice
    scores = scores.float() + torch.log(asked).clamp(min=_NEVER).unsqueeze(1)
    log = scores.log_softmax(2)
    right = (log + torch.log(classes).unsqueeze(1)).logsumexp(2)
    spread = (log * asked.unsqueeze(1)).sum(2) / asked.sum(1, keepdim=True)
    return -(1 - smoothing) * right - smoothing * spread


def label_mask(utterances: Sequence[Utterance]) -> Tensor:
    """Return 1 for the true classes of `LABELS` of each utterance, else 0: ``[n, C]``."""
    rows = torch.zeros(len(utterances), len(LABELS))
    for row, utterance in zip(rows, utterances, strict=True):
        row[LABELS.index(utterance.label)] = 1
        if utterance.label == "neutral" and utterance.corpus != RAVDESS:
            row[LABELS.index("calm")] = 1
    return rows


def compute_logits(
    model: Voice, frames: Frames, utterances: Sequence[Utterance], device: torch.device
) -> Tensor:
    """Return the logits ``[n, C]`` at the end of speech, ignoring an incomplete last chunk."""
    chunk = model.config.chunk_size
    recordings = [frames.spoken(u) for u in utterances]
    lengths = [max(1, len(r) // chunk) for r in recordings]
    answers = torch.zeros(len(utterances), len(LABELS))
    with torch.inference_mode():
        for group in np.array_split(np.argsort(lengths), max(1, len(lengths) // 32)):
            longest = max(lengths[i] for i in group)
            batch = np.stack([np.resize(recordings[i], (longest * chunk, BINS)) for i in group])
            scores = model(torch.from_numpy(batch).to(device), model.empty(len(group)))[0]
            last = torch.tensor([lengths[i] - 1 for i in group])
            answers[torch.from_numpy(group)] = scores[torch.arange(len(group)), last].float().cpu()
    return answers


def classification_metrics(
    probabilities: NDArray[np.floating], utterances: Sequence[Utterance]
) -> dict[str, Any]:
    """Compute metrics: RAVDESS on its eight labels, other corpora on the seven emotions."""
    truth, people = [u.label for u in utterances], [u.speaker for u in utterances]
    if all(u.corpus == RAVDESS for u in utterances):
        return classification(truth, probabilities, LABELS, people=people)
    seven = [to_emotion(t) for t in truth]
    return classification(seven, project(probabilities, LABELS), LABELS[:-1], people=people)


def most_confident_errors(
    probabilities: NDArray[np.floating], utterances: Sequence[Utterance]
) -> list[dict[str, Any]]:
    """Return the most confident errors, with the labels of `classification_metrics`."""
    files, truth = [u.file for u in utterances], [u.label for u in utterances]
    if all(u.corpus == RAVDESS for u in utterances):
        return mistakes(files, truth, probabilities, LABELS)
    seven = [to_emotion(t) for t in truth]
    return mistakes(files, seven, project(probabilities, LABELS), LABELS[:-1])


def temperature(scores: Tensor, classes: Tensor) -> float:
    """Return the temperature that calibrates the logits.

    It minimizes the log loss, between 0.5 and 5 (Guo et al., 2017).
    """
    candidates = np.geomspace(0.5, 5, 200)
    losses = [
        float(masked_nll(scores.unsqueeze(1) / float(t), classes, 0.0).mean()) for t in candidates
    ]
    return float(candidates[int(np.argmin(losses))])
