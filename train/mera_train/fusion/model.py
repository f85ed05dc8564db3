"""``mtme``: a Self-MM network over the outputs of three encoders, any of which may be missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mera_edge.labels import EMOTIONS, MODALITIES
from mera_train.temperature import Calibrated


class ModelConfig(BaseModel):
    """Layer sizes of the network."""

    model_config = ConfigDict(extra="forbid")

    fusion_dim: int = Field(64, ge=4, description="width of the fused features")
    unimodal_dim: int = Field(32, ge=4, description="width of each modality's features")
    dropout: float = Field(0.2, ge=0, lt=1, description="of the encoders' embeddings")
    max_correction_nats: float | None = Field(
        None, gt=0, description="largest correction, in nats, so that no modality is overruled"
    )


@dataclass(frozen=True)
class Fused:
    """Outputs of the network for ``B`` examples."""

    logits: Tensor
    """``[B, 7]``, logits of the emotions."""
    valence: Tensor
    """``[B]``, unbounded while training."""
    weights: Tensor
    """``[B, 3]``, weight of each modality in the prediction."""
    features: dict[str, Tensor]
    """Features for label generation: ``whole``, and by modality."""
    unimodal_valence: dict[str, Tensor]
    """``[B]`` by modality."""


class Mtme(Calibrated):
    """A product of experts, with exponents and a correction from a fusion head.

    ``log p = sum_s g_s log p_s + c``: the gain ``g_s`` is the trust in a modality and halves with
    every half-life of its evidence's age; the correction ``c`` models interactions. With a single
    modality, its own probabilities are returned unchanged. For training only, each modality also
    has its own head (multi-task, as in Self-MM).

    Args:
        config: layer sizes.
        widths: width of the encoder's embedding, by modality.
    """

    def __init__(self, config: ModelConfig, widths: dict[str, int]) -> None:
        super().__init__()
        self.config, self.widths = config, widths
        for name, width in widths.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.dropout = nn.Dropout(config.dropout)
        sizes = {name: width + len(EMOTIONS) for name, width in widths.items()}
        self.unimodal = nn.ModuleDict(
            {name: Head(size, config.unimodal_dim) for name, size in sizes.items()}
        )
        self.fusion = Head(sum(sizes.values()) + len(MODALITIES), config.fusion_dim)
        self.gains = nn.Linear(config.fusion_dim, len(MODALITIES))
        self.correction = nn.Linear(config.fusion_dim, len(EMOTIONS))
        self.log_half_life_s = nn.Parameter(torch.full((len(MODALITIES),), math.log(15.0)))
        # Initialized as the plain product of experts.
        for layer in (self.gains, self.correction):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def normalise_by(self, embeddings: dict[str, Tensor]) -> None:
        """Set mean and standard deviation from training embeddings ``[n, D]``, by modality."""
        for name, values in embeddings.items():
            getattr(self, f"{name}_mean").copy_(values.mean(dim=0))
            getattr(self, f"{name}_scale").copy_(values.std(dim=0).clamp(min=1e-3))

    def forward(
        self, embeddings: dict[str, Tensor], probabilities: Tensor, present: Tensor, age_s: Tensor
    ) -> Fused:
        """Fuse.

        Args:
            embeddings: ``[B, D]`` by modality.
            probabilities: ``[B, 3, 7]`` in the order of `MODALITIES`.
            present: ``[B, 3]``, 1 or 0. Values of a missing modality are ignored.
            age_s: ``[B, 3]``, age of the evidence in seconds.
        """
        here = present > 0.5
        age = torch.where(here, age_s.clamp(min=0), torch.zeros_like(age_s))
        uniform = torch.full_like(probabilities, 1 / len(EMOTIONS))
        believed = torch.where(here.unsqueeze(-1), probabilities, uniform)
        logs = torch.log(believed.clamp(min=1e-4))
        inputs: list[Tensor] = []
        features: dict[str, Tensor] = {}
        valences: dict[str, Tensor] = {}
        for column, name in enumerate(MODALITIES):
            seen = here[:, column : column + 1]
            values = (embeddings[name] - getattr(self, f"{name}_mean")) / getattr(
                self, f"{name}_scale"
            )
            values = self.dropout(values.clamp(-5, 5))
            values = torch.where(seen, values, torch.zeros_like(values))
            inputs.append(torch.cat([values, logs[:, column]], dim=1))
            features[name], valence = self.unimodal[name](inputs[-1])
            valences[name] = valence.squeeze(1)
        mask = here.to(age.dtype)
        features["whole"], whole = self.fusion(torch.cat([*inputs, mask], dim=1))
        count = mask.sum(dim=1, keepdim=True)
        alone = count < 1.5
        # softplus(0.5413) = 1: training starts from the product of experts.
        gains = nn.functional.softplus(self.gains(features["whole"]) + 0.5413)
        # Never exactly zero: weights must sum to one even if all evidence is very old.
        gains = gains * torch.exp2(-age / self.log_half_life_s.exp()).clamp(min=1e-3)
        gains = torch.where(alone, torch.ones_like(gains), gains) * mask
        together = (gains.unsqueeze(-1) * logs).sum(dim=1)
        correction = self.correction(features["whole"])
        if (most := self.config.max_correction_nats) is not None:
            correction = most * torch.tanh(correction / most)
        combined = (together + correction) / self.temperature
        return Fused(
            logits=torch.where(alone, together, combined),
            valence=whole.squeeze(1),
            weights=gains / gains.sum(dim=1, keepdim=True).clamp(min=1e-6),
            features=features,
            unimodal_valence=valences,
        )


class Head(nn.Module):
    """A head with features ``[B, width]`` and one value ``[B, 1]``."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.second = nn.Linear(width, width)
        self.value = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features ``[B, width]`` >= 0 and the unbounded value ``[B, 1]``."""
        features = torch.relu(self.first(x))
        return features, self.value(torch.relu(self.second(features)))
