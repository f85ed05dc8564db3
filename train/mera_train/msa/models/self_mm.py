"""``self_mm`` and ``mtme``: late fusion with a head for every modality beside it."""

from __future__ import annotations

import torch
from torch import Tensor

from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import (
    Encoders,
    First,
    Heads,
    Last,
    ModelConfig,
    Network,
    Shapes,
)


class SelfMM(Network):
    """The network of Self-MM (Yu et al., AAAI 2021, arXiv 2102.04830).

    Sound and face are read by one causal LSTM each, so that they can be run frame by frame; the
    words come as the first vector of a sentence encoder. The heads of the modalities are for
    training; ``sentiment`` does not need them.

    Departs from the paper: the text encoder is not trained, as the file has its vectors; and sound
    and face have learning rates of their own only where ``loop.learning_rates`` gives them.
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
        """Return ``sentiment [B]``, ``sentiment_M [B]`` and ``features_M`` of each modality M,
        and ``features_whole``: what labels are generated from."""
        encoded = self.encoders(self.inputs(batch), batch)
        encoded[self.WHOLE] = torch.cat([encoded[name] for name in MODALITIES], dim=1)
        found: dict[str, Tensor] = self.heads(encoded)
        found["sentiment"] = found.pop(f"sentiment_{self.WHOLE}")
        return found
