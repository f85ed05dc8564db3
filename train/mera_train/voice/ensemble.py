"""Voice encoders that answer together: what one has learnt by heart, another has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mera_edge.features.fbank import BINS
from mera_train.voice.data import LABELS
from mera_train.voice.model import Caches, ModelConfig, Voice, VoiceEncoder


class Ensemble(Voice):
    """The mean of the scores and valences of its members, and their embeddings one after another.

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
        """Return mean and inverse standard deviation ``[80]`` of speech, of the first member."""
        return self._encoders[0].spectrum()

    def empty(self, batch: int = 1) -> Caches:
        """Return the caches of the beginning: `cache_names` names them."""
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
        """Hear whole chunks: see `VoiceEncoder.forward`."""
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
    """Return an encoder of this shape, or an ensemble of several.

    Args:
        config: the shape of each.
        mean: of the level-free log-mel of speech, ``[80]``.
        inverse_std: one over its standard deviation, ``[80]``.
    """
    members = [
        VoiceEncoder(config, mean.clone(), inverse_std.clone(), len(LABELS))
        for _ in range(config.ensemble_size)
    ]
    return members[0] if len(members) == 1 else Ensemble(members)


def blank(config: ModelConfig) -> Voice:
    """Return the same with everything to be filled from a checkpoint."""
    return network(config, torch.zeros(BINS), torch.ones(BINS))
