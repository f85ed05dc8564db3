"""Base of tensor fusion and low-rank fusion: one vector per modality, and their product."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mera_train.msa.data import Batch
from mera_train.msa.models.encode import Encoders, Last, Mean, ModelConfig, Network
from mera_train.msa.models.inputs import Shapes


class ProductFusion(Network):
    """Encodes each modality, and predicts from a product of the three."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.encoders = Encoders(config, shapes, {"text": Last, "audio": Mean, "vision": Mean})

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``."""
        return {"sentiment": self.fused(self.encoders(self.inputs(batch), batch))}

    def fused(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """Return the sentiment ``[B]`` from the modalities ``[B, width]``."""
        raise NotImplementedError
