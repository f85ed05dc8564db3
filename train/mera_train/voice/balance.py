"""Sampling weights of recordings, and class masks by corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.labels import to_emotion
from mera_train.voice.data import Utterance
from mera_train.voice.measure import label_mask


def shares(utterances: Sequence[Utterance], corpora: dict[str, float]) -> NDArray[np.float64]:
    """Return the sampling probability of each recording, ``[n]``.

    Emotions are balanced; within an emotion, corpora are weighted as configured; within a corpus,
    its labels for that emotion are balanced, and speakers are weighted by the square root of their
    number of recordings.
    """
    said = Counter((u.corpus, u.label, u.speaker) for u in utterances)
    found = np.array([said[u.corpus, u.label, u.speaker] ** -0.5 for u in utterances])
    found = _alike(found, [(u.corpus, u.label) for u in utterances])
    found = _alike(found, [(u.corpus, to_emotion(u.label)) for u in utterances])
    found *= np.array([corpora[u.corpus] for u in utterances])
    found = _alike(found, [to_emotion(u.label) for u in utterances])
    weights: NDArray[np.float64] = found / found.sum()
    return weights


def _alike(weights: NDArray[np.float64], groups: Sequence[Hashable]) -> NDArray[np.float64]:
    """Return weights that sum to 1 in every group."""
    totals: Counter[Hashable] = Counter()
    for weight, group in zip(weights, groups, strict=True):
        totals[group] += weight
    alike: NDArray[np.float64] = weights / np.array([totals[group] for group in groups])
    return alike


UNASKED = 0.1
"""Mask value of a class that a corpus lacks. With 0, the sound of its microphones becomes evidence
for that class; with 1, recordings that sound like that class are trained against it.
"""


def choices(utterances: Sequence[Utterance]) -> dict[str, Tensor]:
    """Return a class mask per corpus: 1 for the classes of `LABELS` that it has, else `UNASKED`.

    A class that a corpus lacks could otherwise be ruled out by the sound of its rooms and voices.
    In a corpus with a single emotion (read speech), all classes are possible.
    """
    found = {}
    for corpus in {u.corpus for u in utterances}:
        members = [u for u in utterances if u.corpus == corpus]
        asked = label_mask(members).amax(0)
        single = len({to_emotion(u.label) for u in members}) == 1
        found[corpus] = torch.ones_like(asked) if single else asked.clamp(min=UNASKED)
    return found
