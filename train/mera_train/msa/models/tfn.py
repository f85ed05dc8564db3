"""``tfn``: tensor fusion, all products of text, audio and vision."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mera_train.fusion.model import Head
from mera_train.msa.data import MODALITIES
from mera_train.msa.models.encode import ModelConfig
from mera_train.msa.models.inputs import Shapes
from mera_train.msa.models.product import ProductFusion


class TensorFusion(ProductFusion):
    """Tensor fusion (Zadeh et al., EMNLP 2017, arXiv 1707.07250).

    The outer product of the three, each with a 1 appended, contains all unimodal, bimodal and
    trimodal products: ``(text + 1)(audio + 1)(vision + 1)`` numbers per utterance.
    """

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        text, audio, vision = (self.encoders.widths[name] + 1 for name in MODALITIES)
        self.head = Head(text * audio * vision, config.fusion_dim)

    def fused(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """Return the sentiment ``[B]`` from the modalities ``[B, width]``."""
        ones = [nn.functional.pad(encoded[name], (0, 1), value=1.0) for name in MODALITIES]
        product = torch.einsum("bt,ba,bv->btav", *ones).flatten(1)
        value: Tensor = self.head(product)[1]
        return value.squeeze(1)
