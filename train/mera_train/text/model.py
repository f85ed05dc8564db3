"""A small encoder for sentences: token and hashed bigram embeddings, convolutions, pooling."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mera_edge.labels import EMOTIONS
from mera_train.temperature import Calibrated


class ModelConfig(BaseModel):
    """Layer sizes of the encoder."""

    model_config = ConfigDict(extra="forbid")

    vocab_size: int = Field(16_000, ge=2, description="tokens, [PAD] and [UNK] included")
    width: int = Field(128, ge=8, description="of the token embeddings and the convolutions")
    layers: int = Field(1, ge=0, description="residual gated convolutions")
    kernel_size: int = Field(5, ge=1, description="tokens a convolution sees")
    embedding_dim: int = Field(96, ge=8, description="of the sentence, what the fusion reads")
    hash_buckets: int = Field(131_071, ge=1, description="of the table of n-grams; best a prime")
    max_ngram_order: int = Field(3, ge=1, le=4, description="longest n-gram, in tokens")
    token_dropout: float = Field(0.1, ge=0, lt=1, description="share of tokens made unknown")
    dropout: float = Field(0.15, ge=0, lt=1, description="of the convolutions' channels")
    head_dropout: float = Field(0.5, ge=0, lt=1, description="of the pooled sentence")
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="of the embedding")


class GatedConvolution(nn.Module):
    """Residual gated linear unit over a window of tokens (Dauphin et al., 2017)."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, 2 * width, kernel, padding=kernel // 2)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Transform ``x [B, L, D]``; ``present [B, L, 1]`` is 0 for padding."""
        hidden = self.convolution((self.norm(x) * present).transpose(1, 2))
        y: Tensor = x + self.dropout(nn.functional.glu(hidden, dim=1)).transpose(1, 2)
        return y


_KEYS = 32_749
"""The largest prime below 2^15, so that a key and the slots of an n-gram are independent."""


class NgramClassifier(nn.Module):
    """Logistic regression over frequent n-grams of tokens, a strong baseline.

    A hash table with two probes: the number of an n-gram determines its two slots, and it counts
    only if one of them holds its key. Keys have 16 bits, so one unknown n-gram in 16,000 is taken
    for a known one (as in a cuckoo filter: Fan et al., 2014), and the table is a fifth smaller.
    TF-IDF weights of a sentence are normalised to length 1. Fitted by `mera_train.text.ngrams`.
    """

    keys: Tensor
    """By slot: `key` of its n-gram, 0 if empty."""
    weights: Tensor
    """By slot: weight of its n-gram for every emotion, and its inverse document frequency."""
    bias: Tensor

    def __init__(self, slots: int, orders: int, vocabulary: int) -> None:
        super().__init__()
        self.slots, self.orders, self.vocabulary = slots, orders, vocabulary
        self.register_buffer("keys", torch.zeros(slots, dtype=torch.int16))
        self.register_buffer("weights", torch.zeros(slots, len(EMOTIONS) + 1))
        self.register_buffer("bias", torch.zeros(len(EMOTIONS)))

    def numbers(self, tokens: Tensor) -> Tensor:
        """Return the distinct n-grams of ``tokens [B, L]`` as numbers ``[B, orders * L]``.

        Tokens are digits in base ``vocabulary``, so every n-gram has a unique number. 0 stands for
        none and for repetitions.
        """
        number, found = torch.zeros_like(tokens), []
        length = tokens.shape[1]
        earlier = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril(-1)
        for order in range(self.orders):
            last = nn.functional.pad(tokens[:, order:], (0, order))
            number = number + last * self.vocabulary**order
            again = ((number.unsqueeze(2) == number.unsqueeze(1)) & earlier).any(dim=2)
            found.append(torch.where((last > 0) & ~again, number, torch.zeros_like(number)))
        return torch.cat(found, dim=1)

    @staticmethod
    def key(numbers: Tensor) -> Tensor:
        """Return keys to tell n-grams of one slot apart: int64 from 1 to a prime below 2^15."""
        return numbers % _KEYS + 1

    def choices(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two candidate slots of n-grams."""
        return numbers % self.slots, numbers // self.slots % self.slots

    def find(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slots of n-grams and whether they are known, both shaped as ``numbers``."""
        first, second = self.choices(numbers)
        key = self.key(numbers)
        slots = torch.where(rows(self.keys, second).long() == key, second, first)
        return slots, (rows(self.keys, slots).long() == key) & (numbers > 0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``[B, 7]`` of ``tokens [B, L]``."""
        numbers = self.numbers(tokens)
        slots, known = self.find(numbers)
        found = rows(self.weights, slots)
        value = torch.where(known, found[..., -1], torch.zeros_like(found[..., -1]))
        norm = (value**2).sum(dim=1, keepdim=True).clamp(min=1e-6).sqrt()
        return (found[..., :-1] * (value / norm).unsqueeze(-1)).sum(dim=1) + self.bias


class TextEncoder(Calibrated):
    """Maps token ids to logits, valence and a sentence embedding.

    A convolutional network and a linear n-gram model are trained separately; their logits are
    averaged.
    """

    share: Tensor
    """Weight of the network against the n-grams, 0 to 1; tuned on dev."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.tokens = nn.Embedding(config.vocab_size, width, padding_idx=0)
        nn.init.normal_(self.tokens.weight, std=0.1)
        self.layers = nn.ModuleList(
            GatedConvolution(width, config.kernel_size, config.dropout)
            for _ in range(config.layers)
        )
        self.attention = nn.Linear(width, 1)
        self.head_dropout = nn.Dropout(config.head_dropout)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.norm = nn.LayerNorm(3 * width)
        self.embed = nn.Linear(3 * width, config.embedding_dim)
        self.emotion = nn.Linear(config.embedding_dim, len(EMOTIONS))
        self.valence = nn.Linear(config.embedding_dim, 1)
        self.ngrams = NgramClassifier(
            config.hash_buckets, config.max_ngram_order, config.vocab_size
        )
        self.register_buffer("share", torch.full((), 0.5))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode ``tokens`` (int64 ``[B, L]``, padded with 0).

        Returns:
            logits ``[B, 7]``, valence ``[B]`` in [-1, 1], embedding ``[B, D]``.
        """
        logits, valence, embedding = self.network(tokens)
        share = self.share
        return share * logits + (1 - share) * self.ngrams(tokens), valence, embedding

    def network(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of the convolutional network alone: logits, valence, embedding."""
        if self.training and self.config.token_dropout:
            hide = torch.rand(tokens.shape, device=tokens.device) < self.config.token_dropout
            tokens = torch.where(hide & (tokens > 0), torch.ones_like(tokens), tokens)
        present = (tokens > 0).unsqueeze(-1).to(self.tokens.weight.dtype)
        embedded = rows(self.tokens.weight, tokens)
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
        kept = self.embedding_dropout(embedding)
        valence = torch.tanh(self.valence(kept)).squeeze(-1)
        return self.emotion(kept), valence, embedding


def rows(table: Tensor, numbers: Tensor) -> Tensor:
    """Return the rows of ``table`` at ``numbers [...]``, ``[..., D]``.

    Replaces nn.Embedding, whose name the exporter would confuse with the output ``embedding``.
    """
    chosen: Tensor = table.index_select(0, numbers.flatten()).unflatten(0, numbers.shape)
    return chosen


def _mean(x: Tensor, present: Tensor) -> Tensor:
    return (x * present).sum(dim=1) / present.sum(dim=1).clamp(min=1)


def _largest(x: Tensor, present: Tensor) -> Tensor:
    return (x - 1e4 * (1 - present)).amax(dim=1)


def _attended(x: Tensor, score: Tensor, present: Tensor) -> Tensor:
    weights = torch.softmax(score.float() - 1e4 * (1 - present), dim=1)
    return (x * weights).sum(dim=1)
