"""``lmf``: low-rank tensor fusion."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mera_train.fusion.model import Head
from mera_train.msa.data import MODALITIES
from mera_train.msa.models.encode import ModelConfig
from mera_train.msa.models.inputs import Shapes
from mera_train.msa.models.product import ProductFusion


class LowRankFusion(ProductFusion):
    """Low-rank multimodal fusion (Liu et al., ACL 2018, arXiv 1806.00064).

    Equivalent to a linear layer on the outer product of `TensorFusion` with a weight of rank
    ``rank`` (one factor per modality); the outer product is never computed.
    """

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.factors = nn.ModuleDict(
            {
                name: nn.Linear(width, config.rank * config.fusion_dim)
                for name, width in self.encoders.widths.items()
            }
        )
        self.rank = config.rank
        self.head = Head(config.fusion_dim, config.fusion_dim)

    def fused(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """Return the sentiment ``[B]`` from the modalities ``[B, width]``."""
        # The bias of a linear layer corresponds to the 1 that tensor fusion appends.
        factors = [self.factors[name](encoded[name]) for name in MODALITIES]
        product = torch.stack(factors).prod(dim=0).unflatten(1, (self.rank, -1)).sum(dim=1)
        value: Tensor = self.head(product)[1]
        return value.squeeze(1)
