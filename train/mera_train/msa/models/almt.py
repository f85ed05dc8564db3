"""``almt``: language-guided fusion of audio and vision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.attention import Attention
from mera_train.msa.models.encode import InDialogue, ModelConfig, Network
from mera_train.msa.models.inputs import Shapes, frames_there

SCALES = 3
"""Number of scales of the text."""


class Almt(Network):
    """ALMT (Zhang et al., EMNLP 2023, arXiv 2310.05804).

    Every modality is condensed to a few tokens. At three scales of the text, a hyper-modality is
    updated from audio and vision by attention with text queries (`HyperLayer`); the text then
    attends to it, and an extra token gives the prediction. Differences: padding is masked (in the
    authors' code it is not), and the text encoder is not trained.
    """

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        width, heads, dropout = config.attention_dim, config.heads, config.dropout
        self.condense = nn.ModuleDict(
            {name: Condense(*shapes[name], config) for name in MODALITIES}
        )
        self.scales = nn.ModuleList(Attention(width, heads, dropout) for _ in range(SCALES - 1))
        self.hyper = nn.Parameter(torch.ones(1, config.tokens_per_modality, width))
        self.learn = nn.ModuleList(HyperLayer(width, heads) for _ in range(SCALES))
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.fuse = nn.ModuleList(Attention(width, heads, dropout) for _ in range(config.layers))
        self.ending = InDialogue(width, config)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``."""
        values = self.inputs(batch)
        tokens = {
            name: self.condense[name](values[name], frames_there(batch, name))
            for name in MODALITIES
        }
        words, all_there = tokens["text"], torch.ones_like(tokens["text"][:, :, 0]).bool()
        hyper = self.hyper.expand(len(words), -1, -1)
        for scale, layer in enumerate(self.learn):
            words = self.scales[scale - 1](words, words, all_there) if scale else words
            hyper = layer(hyper, words, tokens["audio"], tokens["vision"])
        token = self.token.expand(len(words), -1, -1)
        asked, told = torch.cat([token, words], dim=1), torch.cat([token, hyper], dim=1)
        for layer in self.fuse:
            asked = layer(asked, told, torch.ones_like(told[:, :, 0]).bool())
        return {"sentiment": self.ending(asked[:, 0], batch)}


class Condense(nn.Module):
    """Condenses frames ``[B, T, D]`` to tokens ``[B, tokens, width]`` by attention from learnt
    tokens. Without frames, the learnt tokens are returned.
    """

    def __init__(self, longest: int, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        width, self.count = config.attention_dim, config.tokens_per_modality
        self.project = nn.Linear(inputs, width)
        self.tokens = nn.Parameter(torch.zeros(1, config.tokens_per_modality, width))
        self.places = nn.Parameter(
            0.02 * torch.randn(1, config.tokens_per_modality + longest, width)
        )
        self.look = Attention(width, config.heads, config.dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Return the tokens ``[B, tokens, width]``.

        Args:
            x: frames ``[B, longest, inputs]``, padded.
            there: ``[B, longest]``, false for padding.
        """
        frames = torch.cat([self.tokens.expand(len(x), -1, -1), self.project(x)], dim=1)
        frames = frames + self.places
        there = nn.functional.pad(there, (self.count, 0), value=True)
        looked: Tensor = self.look(frames, frames, there)
        return looked[:, : self.count]


class HyperLayer(nn.Module):
    """Adaptive hyper-modality learning.

    ``hyper + W (softmax(Q K_a' / sqrt d) V_a + softmax(Q K_v' / sqrt d) V_v) + b``: the text gives
    the queries Q for audio and vision, but is not part of the output. All inputs are normed first.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in MODALITIES})
        self.queries = nn.Linear(width, width, bias=False)
        names = [f"{kind}_{name}" for kind in ("keys", "values") for name in ("audio", "vision")]
        self.project = nn.ModuleDict({name: nn.Linear(width, width, bias=False) for name in names})
        self.out = nn.Linear(width, width)

    def forward(self, hyper: Tensor, words: Tensor, audio: Tensor, vision: Tensor) -> Tensor:
        """Return the updated hyper-modality ``[B, tokens, width]``; all inputs have this shape."""
        queries = self._split(self.queries(self.norms["text"](words)))
        told = []
        for name, value in (("audio", audio), ("vision", vision)):
            normed = self.norms[name](value)
            keys = self._split(self.project[f"keys_{name}"](normed))
            values = self._split(self.project[f"values_{name}"](normed))
            seen = nn.functional.scaled_dot_product_attention(queries, keys, values)
            told.append(seen.transpose(1, 2).flatten(2))
        moved: Tensor = self.out(told[0] + told[1])
        return hyper + moved

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
