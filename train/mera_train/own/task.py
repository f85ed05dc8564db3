"""What the shared loop needs to train any encoder on one's own examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor, nn

from mera_edge.metrics.classification import classification
from mera_train.own.config import required
from mera_train.own.encoder import Encoder, Network, Settings
from mera_train.own.examples import Example


class OwnTask(Generic[Network]):
    """What the shared loop needs to train any encoder on one's own examples."""

    def __init__(
        self,
        encoder: Encoder[Network],
        model: Network,
        examples: Sequence[Example],
        config: Settings,
    ) -> None:
        self.encoder, self.model, self.config = encoder, model, config
        self.truth = [encoder.labels.index(e.label) for e in examples]
        self._people = [e.person for e in examples]
        self.train, self.valid = rows_of(examples, "train"), rows_of(examples, "valid")
        learnt = np.array([self.truth[i] for i in self.train])
        weights = np.array([examples[i].weight for i in self.train])
        weights = weights * np.bincount(learnt)[learnt] ** -required(config.own).class_balance
        self.shares = weights / weights.sum()

    def plan(self, epoch: int) -> list[tuple[int, list[int]]]:
        """As many rows as there are, drawn by weight and label, in batches of about one size."""
        generator = np.random.default_rng((self.config.loop.seed, epoch))
        drawn = generator.choice(self.train, len(self.train), p=self.shares)
        count = max(1, round(len(drawn) / self.config.batch_size))
        return [(n, part.tolist()) for n, part in enumerate(np.array_split(drawn, count))]

    def load(self, plan: tuple[int, list[int]], epoch: int) -> Any:
        """Return the encoder's batch of these rows; what is drawn depends on seed, epoch and
        number."""
        number, rows = plan
        return self.encoder.batch(rows, (self.config.loop.seed, epoch, number))

    def loss(self, batch: Any, device: torch.device) -> Tensor:
        """Return the encoder's scalar loss of a batch."""
        return self.encoder.loss(self.model, batch, device)

    def evaluate(self, model: Network, device: torch.device) -> dict[str, float]:
        """Metrics on the valid examples."""
        scores = self.encoder.scores(model, self.valid)
        truth = [self.truth[i] for i in self.valid]
        loss = nn.functional.cross_entropy(scores, torch.tensor(truth))
        found = classification_metrics(scores, truth, self.encoder.labels)
        return {"loss": float(loss), "accuracy": found["accuracy"], "uar": found["uar"]}

    def classification_metrics(self, model: Network, rows: Sequence[int]) -> dict[str, Any]:
        """Metrics on any examples."""
        scores = self.encoder.scores(model, rows)
        truth = [self.truth[i] for i in rows]
        return classification_metrics(scores, truth, self.encoder.labels, self.people(rows))

    def people(self, rows: Sequence[int]) -> list[str] | None:
        """Return whose examples these are; ``None`` where one is nobody's."""
        found = [self._people[i] for i in rows]
        return found if all(found) else None


def rows_of(examples: Sequence[Example], split: str) -> list[int]:
    """Return the numbers of a split's examples."""
    return [i for i, example in enumerate(examples) if example.split == split]


def classification_metrics(
    scores: Tensor,
    truth: Sequence[int],
    labels: Sequence[str],
    people: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compare scores ``[n, C]`` with the truth, among the labels that occur in it.

    Args:
        scores: before the softmax.
        truth: numbers of ``labels``.
        labels: the ``C`` labels.
        people: whose each is, where that is known.
    """
    names = [labels[i] for i in truth]
    return classification(names, scores.softmax(1).numpy(), labels, people=people)
