"""A small encoder for sentences: token and hashed bigram embeddings, convolutions, pooling."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mera_edge.labels import EMOTIONS


class ModelConfig(BaseModel):
    """Sizes of the encoder."""

    model_config = ConfigDict(extra="forbid")

    vocabulary: int = Field(16_000, ge=100, description="tokens, [PAD] and [UNK] included")
    width: int = Field(128, ge=8, description="of the token embeddings and the convolutions")
    layers: int = Field(1, ge=0, description="residual gated convolutions")
    kernel: int = Field(5, ge=1, description="tokens a convolution sees")
    embedding: int = Field(96, ge=8, description="of the sentence, what the fusion reads")
    buckets: int = Field(262_144, ge=1, description="of the hashed n-grams")
    orders: int = Field(3, ge=1, le=4, description="longest n-gram, in tokens")
    ngram_dropout: float = Field(0.3, ge=0, lt=1, description="share of n-grams left out")
    token_dropout: float = Field(0.1, ge=0, lt=1, description="share of tokens made unknown")
    dropout: float = Field(0.15, ge=0, lt=1, description="of the convolutions' channels")
    head_dropout: float = Field(0.5, ge=0, lt=1, description="of the pooled sentence")


class GatedConvolution(nn.Module):
    """Residual gated linear unit over a window of tokens (Dauphin et al., 2017)."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, 2 * width, kernel, padding=kernel // 2)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Transform ``x [B, L, D]``; ``present [B, L, 1]`` is 0 where the padding is."""
        hidden = self.convolution((self.norm(x) * present).transpose(1, 2))
        return x + self.dropout(nn.functional.glu(hidden, dim=1)).transpose(1, 2)


class NgramClassifier(nn.Module):
    """Logistic regression over hashed n-grams of tokens: what short texts are hard to beat with.

    Each n-gram of one to ``orders`` tokens has a row of weights (several share one: Weinberger et
    al., 2009); their sum is divided by the square root of their number, the norm of the counts.
    """

    # Any odd numbers do, but they are part of the trained model.
    _FACTORS = (1, 40_503, 2_654_435, 805_459)
    # Weights are kept small, so that the optimizer's steps are large for rarely seen rows.
    _GAIN = 10.0

    def __init__(self, buckets: int, orders: int, dropout: float) -> None:
        super().__init__()
        self.buckets, self.orders, self.dropout = buckets, orders, dropout
        self.weights = nn.Embedding(buckets, len(EMOTIONS))
        self.bias = nn.Parameter(torch.zeros(len(EMOTIONS)))
        nn.init.zeros_(self.weights.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``[B, 7]`` of ``tokens [B, L]``."""
        ngrams = torch.zeros_like(tokens)
        found, kept = [], []
        for order in range(self.orders):
            last = nn.functional.pad(tokens[:, order:], (0, order))
            ngrams = ngrams + last * self._FACTORS[order]
            found.append((ngrams * 31 + order * 77_773) % self.buckets)
            kept.append(last > 0)
        rows, keep = torch.cat(found, dim=1), torch.cat(kept, dim=1).to(self.bias.dtype)
        if self.training and self.dropout:
            keep = keep * (torch.rand_like(keep) >= self.dropout)
        total = (_rows(self.weights.weight, rows) * keep.unsqueeze(-1)).sum(dim=1)
        return self._GAIN * total / keep.sum(dim=1, keepdim=True).clamp(min=1).sqrt() + self.bias


class TextEncoder(nn.Module):
    """Token numbers to logits, valence and an embedding of the sentence.

    Two experts of different kind look at a sentence, a convolutional network and a linear model of
    n-grams. They are trained side by side and their logits are averaged.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.tokens = nn.Embedding(config.vocabulary, width, padding_idx=0)
        nn.init.normal_(self.tokens.weight, std=0.1)
        self.layers = nn.ModuleList(
            GatedConvolution(width, config.kernel, config.dropout) for _ in range(config.layers)
        )
        self.attention = nn.Linear(width, 1)
        self.head_dropout = nn.Dropout(config.head_dropout)
        self.norm = nn.LayerNorm(3 * width)
        self.embed = nn.Linear(3 * width, config.embedding)
        self.emotion = nn.Linear(config.embedding, len(EMOTIONS))
        self.valence = nn.Linear(config.embedding, 1)
        self.ngrams = NgramClassifier(config.buckets, config.orders, config.ngram_dropout)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode ``tokens`` (int64 ``[B, L]``, padded with 0).

        Returns:
            logits ``[B, 7]``, valence ``[B]`` in [-1, 1], embedding ``[B, D]``.
        """
        network, ngrams, valence, embedding = self.experts(tokens)
        return 0.5 * (network + ngrams), valence, embedding

    def experts(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the logits of both experts, valence and embedding."""
        if self.training and self.config.token_dropout:
            hide = torch.rand(tokens.shape, device=tokens.device) < self.config.token_dropout
            tokens = torch.where(hide & (tokens > 0), torch.ones_like(tokens), tokens)
        present = (tokens > 0).unsqueeze(-1).to(self.tokens.weight.dtype)
        embedded = _rows(self.tokens.weight, tokens)
        x = embedded
        for layer in self.layers:
            x = layer(x, present)
        pooled = [
            _mean(embedded, present),
            _largest(x, present),
            _attended(x, self.attention(x), present),
        ]
        sentence = self.head_dropout(self.norm(torch.cat(pooled, dim=-1)))
        embedding = nn.functional.gelu(self.embed(sentence))
        kept = self.head_dropout(embedding)
        valence = torch.tanh(self.valence(kept)).squeeze(-1)
        return self.emotion(kept), self.ngrams(tokens), valence, embedding


def _rows(table: Tensor, numbers: Tensor) -> Tensor:
    # As nn.Embedding does, whose name the exporter would confuse with the output `embedding`.
    return table.index_select(0, numbers.flatten()).unflatten(0, numbers.shape)


def _mean(x: Tensor, present: Tensor) -> Tensor:
    return (x * present).sum(dim=1) / present.sum(dim=1).clamp(min=1)


def _largest(x: Tensor, present: Tensor) -> Tensor:
    return (x - 1e4 * (1 - present)).amax(dim=1)


def _attended(x: Tensor, score: Tensor, present: Tensor) -> Tensor:
    weights = torch.softmax(score.float() - 1e4 * (1 - present), dim=1)
    return (x * weights).sum(dim=1)
