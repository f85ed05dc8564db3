"""Multi-task training for composed examples and the user's own clips.

The targets are emotion, valence, and Self-MM's generated unimodal valences, with modality dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mera_edge.labels import MODALITIES
from mera_train.fusion.config import Config
from mera_train.fusion.model import Fused, Mtme
from mera_train.fusion.unimodal_labels import UnimodalLabels

SUBSETS = [row for row in product((1.0, 0.0), repeat=len(MODALITIES)) if any(row)]
"""Every subset of modalities, the full set first."""


@dataclass
class Batch:
    """Rows of the training examples, and the modalities that are kept."""

    rows: Tensor
    kept: Tensor
    """``[batch, 3]``, 1 or 0."""
    epoch: int


class Supervised(nn.Module):
    """The network with its generated labels, as saved by a run."""

    def __init__(
        self,
        network: Mtme,
        valence: Tensor,
        rated: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        sizes = {UnimodalLabels.WHOLE: network.config.fusion_dim}
        sizes |= dict.fromkeys(MODALITIES, network.config.unimodal_dim)
        self.network = network
        self.labels = UnimodalLabels(valence, sizes, dict(rated or {}))


class MultiTask:
    """Batches and loss of a `Supervised`.

    Args:
        config: training settings.
        model: the network with its labels.
        there: ``[n, 3]``, 1 or 0: available modalities. An example never loses all of them.
    """

    def __init__(self, config: Config, model: Supervised, there: Tensor) -> None:
        self.config, self.model, self._there = config, model, there

    def plan(self, epoch: int) -> list[tuple[int, NDArray[np.int64]]]:
        """Return batches of shuffled rows, each with the seed of its modality dropout."""
        random = np.random.default_rng([self.config.loop.seed, epoch])
        order = random.permutation(len(self._there))
        batches = np.array_split(order, max(1, len(order) // self.config.batch_size))
        return [(int(random.integers(2**31)), rows) for rows in batches]

    def load(self, plan: tuple[int, NDArray[np.int64]], epoch: int) -> Batch:
        """Apply modality dropout."""
        seed, rows = plan
        random = np.random.default_rng(seed)
        kept = np.array(SUBSETS)[random.integers(0, len(SUBSETS), len(rows))]
        kept[random.random(len(rows)) < self.config.full_modality_rate] = 1
        kept[(kept * self._there[rows].numpy()).sum(axis=1) == 0] = 1
        return Batch(torch.from_numpy(rows), torch.from_numpy(kept).float(), epoch + 1)

    def total(self, emotion: Tensor, fused: Fused, valence: Tensor, batch: Batch) -> Tensor:
        """Return the loss of a batch, and update its unimodal labels.

        Args:
            emotion: loss of the fused emotion.
            fused: outputs of the network.
            valence: labels ``[batch]``.
            batch: its rows and epoch.
        """
        labels, present = self.model.labels, self._there[batch.rows] * batch.kept
        loss = emotion + self.config.valence_loss_weight * (fused.valence - valence).abs().mean()
        for column, name in enumerate(MODALITIES):
            weight = labels.weight(name, batch.rows) * present[:, column]
            error = (fused.unimodal_valence[name] - labels.label(name)[batch.rows]).abs()
            loss = loss + self.config.unimodal_loss_weight * (weight * error).mean()
        here: dict[str, Tensor] = {name: present[:, i] > 0.5 for i, name in enumerate(MODALITIES)}
        features = {name: value.detach() for name, value in fused.features.items()}
        labels.update(batch.rows, features, here, batch.epoch)
        return loss
