"""``mtfn`` and ``mlmf``: multi-task tensor fusion and low-rank fusion.

The multi-task networks of the CH-SIMS paper (Yu et al., ACL 2020, section 4): the vector of each
modality also has its own head, trained on human unimodal labels. The loss is the weighted sum of
the four errors; missing labels are ignored.
"""

from __future__ import annotations

from torch import Tensor

from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import Heads, ModelConfig
from mera_train.msa.models.inputs import Shapes
from mera_train.msa.models.lmf import LowRankFusion
from mera_train.msa.models.product import ProductFusion
from mera_train.msa.models.tfn import TensorFusion


class _MultiTask(ProductFusion):
    """Mixin that adds unimodal heads to a product fusion; must precede it among the bases."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        widths = dict.fromkeys(MODALITIES, config.unimodal_dim)
        self.heads = Heads(self.encoders.widths, widths)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, ``sentiment_M [B]`` and ``features_M`` for each modality M."""
        encoded = self.encoders(self.inputs(batch), batch)
        return {**self.heads(encoded), "sentiment": self.fused(encoded)}


class MultiTaskTensorFusion(_MultiTask, TensorFusion):
    """MTFN."""


class MultiTaskLowRankFusion(_MultiTask, LowRankFusion):
    """MLMF."""
