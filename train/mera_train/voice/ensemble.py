"""Ensembles of voice encoders, which overfit differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mera_edge.features.fbank import BINS
from mera_train.voice.data import LABELS
from mera_train.voice.model import Caches, ModelConfig, Voice, VoiceEncoder


class Ensemble(Voice):
    """Mean logits and valence of its members, with concatenated embeddings.

    Its caches are those of its members.
    """

    def __init__(self, members: Sequence[VoiceEncoder]) -> None:
        super().__init__()
        self.config = members[0].config.model_copy(update={"ensemble_size": len(members)})
        self.members = nn.ModuleList(members)

    @property
    def _encoders(self) -> list[VoiceEncoder]:
        return [cast(VoiceEncoder, member) for member in self.members]

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Return mean and inverse standard deviation ``[80]`` of speech, from the first member."""
        return self._encoders[0].spectrum()

    def empty(self, batch: int = 1) -> Caches:
        """Return the initial caches, in the order of `cache_names`."""
        return tuple(cache for member in self._encoders for cache in member.empty(batch))

    @property
    def cache_names(self) -> list[str]:
        """What the caches of `empty` are, in order."""
        return [
            f"{name}_of_{number}"
            for number, member in enumerate(self._encoders, 1)
            for name in member.cache_names
        ]

    def forward(self, frames: Tensor, caches: Caches) -> tuple[Tensor, Tensor, Tensor, Caches]:
        """Encode whole chunks: see `VoiceEncoder.forward`."""
        scores, valences, embeddings, after = [], [], [], []
        rest = caches
        for member in self._encoders:
            count = len(member.cache_names)
            score, valence, embedding, kept = member(frames, rest[:count])
            rest = rest[count:]
            scores.append(score)
            valences.append(valence)
            embeddings.append(embedding)
            after += kept
        together = torch.stack(scores).mean(0) / self.temperature
        return together, torch.stack(valences).mean(0), torch.cat(embeddings, 2), tuple(after)


def network(config: ModelConfig, mean: Tensor, inverse_std: Tensor) -> Voice:
    """Build an encoder, or an ensemble of several.

    Args:
        config: layer sizes of each.
        mean: mean of level-normalised log-mel speech, ``[80]``.
        inverse_std: its inverse standard deviation, ``[80]``.
    """
    members = [
        VoiceEncoder(config, mean.clone(), inverse_std.clone(), len(LABELS))
        for _ in range(config.ensemble_size)
    ]
    return members[0] if len(members) == 1 else Ensemble(members)


def blank(config: ModelConfig) -> Voice:
    """Build a network to be filled from a checkpoint."""
    return network(config, torch.zeros(BINS), torch.ones(BINS))
