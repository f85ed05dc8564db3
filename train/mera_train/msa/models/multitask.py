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
from mera_train.msa.models.product import ProductFusion
from mera_train.msa.models.tfn import TensorFusion


class _MultiTask(ProductFusion):
    """Adds the heads of single modalities to a product; stands before it among the bases."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        widths = dict.fromkeys(MODALITIES, config.unimodal_dim)
        self.heads = Heads(self.encoders.widths, widths)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, ``sentiment_M [B]`` and ``features_M`` of each modality M."""
        encoded = self.encoders(self.inputs(batch), batch)
        return {**self.heads(encoded), "sentiment": self.fused(encoded)}


class MultiTaskTensorFusion(_MultiTask, TensorFusion):
    """MTFN."""


class MultiTaskLowRankFusion(_MultiTask, LowRankFusion):
    """MLMF."""
