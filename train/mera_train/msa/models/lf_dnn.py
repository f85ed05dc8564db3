"""``lf_dnn``: concatenated means of the modalities, then linear layers."""

from __future__ import annotations

import torch
from torch import Tensor

from mera_train.fusion.model import Head
from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import Encoders, Mean, ModelConfig, Network
from mera_train.msa.models.inputs import Shapes


class LateFusion(Network):
    """Late fusion (LF-DNN of MMSA): every modality is its mean over time."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.encoders = Encoders(config, shapes, dict.fromkeys(MODALITIES, Mean))
        self.head = Head(sum(self.encoders.widths.values()), config.fusion_dim)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``."""
        encoded = self.encoders(self.inputs(batch), batch)
        _, sentiment = self.head(torch.cat([encoded[name] for name in MODALITIES], dim=1))
        return {"sentiment": sentiment.squeeze(1)}
