"""``self_mm`` and ``mtme``: late fusion with an additional head per modality."""

from __future__ import annotations

import torch
from torch import Tensor

from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import Encoders, First, Heads, Last, ModelConfig, Network
from mera_train.msa.models.inputs import Shapes


class SelfMM(Network):
    """The network of Self-MM (Yu et al., AAAI 2021, arXiv 2102.04830).

    Audio and vision are encoded by one causal LSTM each, so that they can run frame by frame; text
    is the first vector of a sentence encoder. The unimodal heads are for training only;
    ``sentiment`` does not need them.

    Differences from the paper: the text encoder is trained only if `ModelConfig.text_encoder` names
    one, as the file contains its vectors; and text, audio and vision have separate learning rates
    only if ``loop.learning_rates`` sets them.
    """

    WHOLE = "whole"

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.encoders = Encoders(config, shapes, {"text": First, "audio": Last, "vision": Last})
        widths = self.encoders.widths
        self.heads = Heads(
            {self.WHOLE: sum(widths.values()), **widths},
            {self.WHOLE: config.fusion_dim, **dict.fromkeys(MODALITIES, config.unimodal_dim)},
        )

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, ``sentiment_M [B]`` and ``features_M`` for each modality M, and
        ``features_whole``, from which labels are generated.
        """
        encoded = self.encoders(self.inputs(batch), batch)
        encoded[self.WHOLE] = torch.cat([encoded[name] for name in MODALITIES], dim=1)
        found: dict[str, Tensor] = self.heads(encoded)
        found["sentiment"] = found.pop(f"sentiment_{self.WHOLE}")
        return found
