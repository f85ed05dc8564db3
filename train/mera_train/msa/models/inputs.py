"""What networks read: standardised features, or the vectors of a BERT."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mera_train.msa.data import Batch
from mera_train.msa.models.bert import Bert

Shapes = Mapping[str, tuple[int, int]]
"""By modality: the longest sequence ``T`` and the number of features ``D`` per frame."""


class Inputs(nn.Module):
    """Standardises features with the training split's mean and deviation; padding is zero.

    Args:
        shapes: of what it returns.
        dropout: of what it returns.
        bert: reads the text's tokens; its vectors are not standardised.
    """

    def __init__(self, shapes: Shapes, dropout: float, bert: Bert | None = None) -> None:
        super().__init__()
        self.bert = bert
        for name, (_, width) in shapes.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.dropout = nn.Dropout(dropout)

    def normalise_by(self, batch: Batch) -> None:
        """Compute mean and standard deviation of every feature over all frames, without padding."""
        for name, values in batch.features.items():
            frames = values[frames_there(batch, name)].double()
            if len(frames) and not (name == "text" and self.bert):
                self.get_buffer(f"{name}_mean").copy_(frames.mean(dim=0))
                # A nearly constant feature would be amplified to noise.
                self.get_buffer(f"{name}_scale").copy_(
                    frames.std(dim=0, correction=0).clamp(min=1e-3)
                )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``[B, T, D]`` by modality."""
        return {name: self.dropout(value) for name, value in self.normalised(batch).items()}

    def normalised(self, batch: Batch) -> dict[str, Tensor]:
        """Return the result of `forward` without dropout."""
        found = {}
        for name, values in batch.features.items():
            if name == "text" and self.bert:
                found[name] = self.bert(values, frames_there(batch, name))
                continue
            mean, scale = self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_scale")
            value = ((values - mean) / scale).clamp(-5, 5)
            here = frames_there(batch, name).unsqueeze(-1)
            found[name] = torch.where(here, value, torch.zeros_like(value))
        return found


def frames_there(batch: Batch, name: str) -> Tensor:
    """Return the padding mask of a modality, bool ``[B, T]``: true for frames."""
    values, lengths = batch.features[name], batch.lengths[name]
    return torch.arange(values.shape[1], device=lengths.device) < lengths.unsqueeze(1)
