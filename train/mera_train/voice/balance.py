"""How often each recording is drawn, and what it can be wrong about."""

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
    """Return how often each recording is drawn, ``[n]``, in sum 1.

    All emotions alike; of an emotion, corpora as wished; of a corpus, its labels for that emotion
    alike, and speakers by the square root of how much they said.
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
    """Return weights whose sum is 1 in every group."""
    totals: Counter[Hashable] = Counter()
    for weight, group in zip(weights, groups, strict=True):
        totals[group] += weight
    alike: NDArray[np.float64] = weights / np.array([totals[group] for group in groups])
    return alike


UNASKED = 0.1
"""What a class that a corpus does not have counts among its choices. With 0, the sound of its
microphones becomes a sign of that class; with 1, what sounds like that class unlearns it."""


def choices(utterances: Sequence[Utterance]) -> dict[str, Tensor]:
    """Return by corpus 1 for the classes of `LABELS` that it has, else `UNASKED`.

    What nobody in a corpus was asked to act says little about how its rooms and voices sound. But
    where all is of one emotion, as what is read aloud, it could have been any other.
    """
    found = {}
    for corpus in {u.corpus for u in utterances}:
        members = [u for u in utterances if u.corpus == corpus]
        asked = label_mask(members).amax(0)
        single = len({to_emotion(u.label) for u in members}) == 1
        found[corpus] = torch.ones_like(asked) if single else asked.clamp(min=UNASKED)
    return found
