"""``mtfn`` and ``mlmf``: tensor fusion and its low-rank form, with a task for every modality.

The multi-task networks of the CH-SIMS paper (Yu et al., ACL 2020, section 4): each modality's
vector also goes to a head of its own, which learns what people saw in that modality alone. The
loss is the weighted sum of the four errors. Nothing is learnt from where nobody looked.
"""

from __future__ import annotations

from torch import Tensor

from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import Heads, ModelConfig, Shapes
from mera_train.msa.models.lmf import LowRankFusion
from mera_train.msa.models.tfn import TensorFusion


class MultiTaskTensorFusion(TensorFusion):
    """MTFN."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.heads = _heads(config, self.encoders.widths)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, ``sentiment_M [B]`` and ``features_M`` of each modality M."""
        encoded = self.encoders(self.inputs(batch), batch)
        return {**self.heads(encoded), "sentiment": self.fused(encoded)}


class MultiTaskLowRankFusion(LowRankFusion):
    """MLMF."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.heads = _heads(config, self.encoders.widths)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, ``sentiment_M [B]`` and ``features_M`` of each modality M."""
        encoded = self.encoders(self.inputs(batch), batch)
        return {**self.heads(encoded), "sentiment": self.fused(encoded)}


def _heads(config: ModelConfig, widths: dict[str, int]) -> Heads:
    return Heads(widths, dict.fromkeys(MODALITIES, config.unimodal))
