"""Sentences as tensors, and what their corpora can say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mera_edge.labels import EMOTIONS
from mera_train.text.data import SPOKEN, Sentence


class Batch:
    """Sentences as tensors, and what is known about them."""

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
        # What a corpus cannot say gets no probability and so no gradient.
        self.offset = torch.stack([priors[row.corpus] for row in rows])
        for index, row in enumerate(rows):
            for emotion in row.emotions:
                self.target[index, EMOTIONS.index(emotion)] = 1 / len(row.emotions)
        self.valence = torch.tensor([row.valence for row in rows])


def _shares(rows: Sequence[Sentence]) -> Iterator[tuple[str, list[float]]]:
    """How often each corpus names each emotion; 0: it cannot."""
    for corpus, sayable in SPOKEN.items():
        counts = Counter(e for row in rows if row.corpus == corpus for e in row.emotions)
        total = max(1, sum(counts.values()))
        yield corpus, [max(1, counts[e]) / total if e in sayable else 0.0 for e in EMOTIONS]


def priors(rows: Sequence[Sentence], balance: float) -> dict[str, Tensor]:
    """What is added to the logits of each corpus while training, ``[7]``; -inf: cannot be said."""
    return {
        corpus: torch.tensor([balance * math.log(s) if s else -math.inf for s in shares])
        for corpus, shares in _shares(rows)
    }


def weights(rows: Sequence[Sentence], rarity: float) -> dict[str, Tensor]:
    """How much each emotion of a corpus counts, ``[7]``; the mean over its sentences is near 1."""
    return {
        corpus: torch.tensor(
            [(1 / (len(SPOKEN[corpus]) * s)) ** rarity if s else 0.0 for s in shares]
        )
        for corpus, shares in _shares(rows)
    }
