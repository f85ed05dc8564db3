"""The user's own clips as inputs of the fusion: rows of a feature file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.labels import EMOTIONS, MODALITIES
from mera_train.features.store import Features
from mera_train.fusion.model import Fused, Mtme
from mera_train.rows import select

_RATED = {"voice": "label_A", "face": "label_V", "text": "label_T"}


@dataclass
class Clips:
    """``n`` clips as tensors."""

    embeddings: dict[str, Tensor]
    probabilities: Tensor
    """``[n, 3, 7]``"""
    age_s: Tensor
    present: Tensor
    """``[n, 3]``, 1 or 0."""
    valence: Tensor
    """``[n]`` in [-1, 1]."""
    emotions: Tensor
    """``[n]`` indices into `EMOTIONS`; -1 where unknown."""
    unimodal: dict[str, Tensor]
    """Human unimodal ratings ``[n]`` by modality; NaN if missing."""

    def __len__(self) -> int:
        return len(self.valence)

    def at(self, rows: Tensor | NDArray[np.bool_]) -> Clips:
        """Select rows by indices or a mask."""
        return select(self, rows)

    def through(self, network: Mtme, kept: Tensor) -> Fused:
        """Run the network with the modalities that are present and in ``kept [n, 3]``."""
        fused: Fused = network(self.embeddings, self.probabilities, self.present * kept, self.age_s)
        return fused


def clips(features: Features, rows: NDArray[np.int64]) -> Clips:
    """Read rows of a feature file. Without a sentiment, the valence is that of the emotion."""
    arrays = {name: values[rows] for name, values in features.arrays.items()}
    numbers = [EMOTIONS.index(e) if e else -1 for e in arrays["emotion"].tolist()]

    def stacked(kind: str) -> Tensor:
        return torch.from_numpy(np.stack([arrays[f"{name}_{kind}"] for name in MODALITIES], 1))

    return Clips(
        {name: torch.from_numpy(arrays[f"{name}_embedding"]) for name in MODALITIES},
        stacked("probabilities").float(),
        stacked("age_s").float(),
        stacked("present").float(),
        torch.from_numpy(features.sentiments()[rows]),
        torch.tensor(numbers),
        {name: torch.from_numpy(arrays[column]) for name, column in _RATED.items()},
    )
