"""Batches of sentences, with the label sets of their corpora."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mera_edge.labels import EMOTIONS
from mera_train.text.data import SPOKEN, Sentence


class Batch:
    """Sentences as tensors, with their labels."""

    def __init__(
        self,
        rows: Sequence[Sentence],
        tokens: Tensor,
        priors: dict[str, Tensor],
        opinion: Tensor | None = None,
    ) -> None:
        self.tokens = tokens
        self.opinion = opinion
        self.target = torch.zeros(len(rows), len(EMOTIONS))
        # Labels that a corpus lacks get no probability, and so no gradient.
        self.offset = torch.stack([priors[row.corpus] for row in rows])
        for index, row in enumerate(rows):
            for emotion in row.emotions:
                self.target[index, EMOTIONS.index(emotion)] = 1 / len(row.emotions)
        self.valence = torch.tensor([row.valence for row in rows])


def _shares(rows: Sequence[Sentence]) -> Iterator[tuple[str, list[float]]]:
    """Return the frequency of each emotion by corpus; 0: not in its label set."""
    for corpus, sayable in SPOKEN.items():
        counts = Counter(e for row in rows if row.corpus == corpus for e in row.emotions)
        total = max(1, sum(counts.values()))
        yield corpus, [max(1, counts[e]) / total if e in sayable else 0.0 for e in EMOTIONS]


def priors(rows: Sequence[Sentence], balance: float) -> dict[str, Tensor]:
    """Return the logit adjustment per corpus for training, ``[7]``; -inf: not in its label set."""
    return {
        corpus: torch.tensor([balance * math.log(s) if s else -math.inf for s in shares])
        for corpus, shares in _shares(rows)
    }


def weights(rows: Sequence[Sentence], rarity: float) -> dict[str, Tensor]:
    """Return class weights per corpus, ``[7]``; their mean over the sentences is about 1."""
    return {
        corpus: torch.tensor(
            [(1 / (len(SPOKEN[corpus]) * s)) ** rarity if s else 0.0 for s in shares]
        )
        for corpus, shares in _shares(rows)
    }
