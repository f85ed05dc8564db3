"""A causal conformer with CTC (U2 style): a chunk attends to itself and a bounded left context.

The same weights run in two ways: `Conformer.forward` on whole utterances with a chunk mask, for
training, and `Conformer.stream` on one window with fixed-size caches, for export. Both give the
same log-probabilities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mera_train.asr.encoder import Dropout, Encoder, ModelConfig, Stem


class FeedForward(nn.Sequential):
    """A position-wise network."""

    def __init__(self, config: ModelConfig, activation: type[nn.Module] = nn.SiLU) -> None:
        inner = config.width * config.ff_expansion
        super().__init__(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, inner),
            activation(),
            Dropout(config.dropout),
            nn.Linear(inner, config.width),
            Dropout(config.dropout),
        )


class Attention(nn.Module):
    """Self-attention; ``bias`` holds the mask and the distance penalty."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.width)
        self.into = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, bias: Tensor, cache: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``x`` [B, T, d], ``bias`` [1, heads, T, keys], ``cache`` [B, heads, left, 2 d/heads].

        Returns the output, and the keys and values of the cache and of ``x``.
        """
        query, both = self.project(x)
        if cache is not None:
            both = torch.cat([cache, both], dim=2)
        return self.mix(query, both, bias), both

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries, and the keys and values side by side, ``[B, heads, T, ...]``."""
        batch, time, width = x.shape
        query, *key_value = self.into(self.norm(x)).chunk(3, dim=-1)
        shape = (batch, time, self.heads, width // self.heads)
        query = query.view(shape).transpose(1, 2)
        return query, torch.cat([part.reshape(shape).transpose(1, 2) for part in key_value], dim=-1)

    def mix(self, query: Tensor, both: Tensor, bias: Tensor) -> Tensor:
        """Return the attention output ``[B, T, d]``."""
        key, value = both.chunk(2, dim=-1)
        # Not the fused kernel: on CPUs, the bf16 gradient of this code is three times as fast.
        scores = query * query.shape[-1] ** -0.5 @ key.transpose(2, 3) + bias.to(query.dtype)
        mixed = scores.softmax(dim=-1).to(value.dtype) @ value
        batch, _, time, _ = mixed.shape
        y: Tensor = self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, time, -1)))
        return y


class Convolution(nn.Module):
    """Gated causal depthwise convolution. LayerNorm, because batches are padded."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.past = config.kernel_size - 1
        self.norm = nn.LayerNorm(config.width)
        self.into = nn.Linear(config.width, 2 * config.width)
        self.depthwise = nn.Conv1d(
            config.width, config.width, config.kernel_size, groups=config.width
        )
        self.inner_norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, cache: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``x`` [B, T, d], ``cache`` [B, d, kernel - 1]: returns the output and the new cache."""
        gated = F.glu(self.into(self.norm(x)), dim=-1).transpose(1, 2)
        if cache is None:
            cache = gated.new_zeros(*gated.shape[:2], self.past)
        gated = torch.cat([cache, gated], dim=2)
        mixed = self.inner_norm(self.depthwise(gated).transpose(1, 2))
        return self.dropout(self.out(F.silu(mixed))), gated[:, :, gated.shape[2] - self.past :]


class Block(nn.Module):
    """Feed-forward, attention, convolution, feed-forward (Gulati et al., 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.first = FeedForward(config)
        self.attention = Attention(config)
        self.convolution = Convolution(config)
        self.second = FeedForward(config)
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        attention_cache: Tensor | None = None,
        convolution_cache: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Apply half a feed-forward module, attention, convolution and half a feed-forward module,
        each residual, then a norm (Gulati et al., 2020, *Conformer*).

        Args:
            x: ``[B, T, width]``.
            bias: added to the attention scores; minus infinity hides a position.
            attention_cache, convolution_cache: caches of the frames before ``x``; None in training,
                where ``x`` is the whole utterance.

        Returns:
            The frames ``[B, T, width]``, and both caches for the following frames.
        """
        x = x + 0.5 * self.first(x)
        attended, attention_cache = self.attention(x, bias, attention_cache)
        x = x + attended
        convolved, convolution_cache = self.convolution(x, convolution_cache)
        x = x + convolved
        x = x + 0.5 * self.second(x)
        return self.norm(x), attention_cache, convolution_cache


class Conformer(Encoder):
    """The recognizer's network."""

    def __init__(
        self, config: ModelConfig, mean: Tensor, inverse_std: Tensor, symbols: int
    ) -> None:
        super().__init__(config, Stem(config, len(mean)), mean, inverse_std, symbols)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))

    def forward(self, normalised: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """Encode whole utterances with the mask of chunks of ``chunk`` encoder frames.

        Args:
            normalised: frames after CMVN, ``[B, T, 80]``.

        Returns:
            Symbol scores ``[B, encoder frames, symbols]`` from the last block, and phone scores
            ``[B, encoder frames, phones per frame, phones]`` from the middle one or from the keys
            and values of `ModelConfig.phone_head_block`.
        """
        x = self.stem(normalised)
        bias = self.bias(x.shape[1], chunk, x.device)
        inner = x
        for index, block in enumerate(self.blocks):
            x, keys, _ = block(x, bias)
            if self.config.phone_head_block is None and index + 1 == len(self.blocks) // 2:
                inner = x
            elif index == self.config.phone_head_block:
                inner = keys.transpose(1, 2).flatten(2)
        return self.scores(x, inner)

    def stream(
        self,
        frames: Tensor,
        offset: Tensor,
        attention: Tensor,
        convolution: Tensor,
        visible: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode one window.

        Args:
            frames: ``[1, window, 80]``, before CMVN.
            offset: ignored; positions are relative.
            attention: ``[blocks, heads, left, 2 d/heads]``, zeros at the beginning.
            convolution: ``[blocks, 1, d, kernel - 1]``, zeros at the beginning.
            visible: bool ``[1, 1, left + chunk]``, false where the cache is not yet filled.

        Returns:
            Log-probabilities ``[1, chunk, symbols]`` and both caches for the next window.
        """
        config = self.config
        x = self.stem(self.normalise(frames))
        distances = self.penalty(
            torch.arange(config.left, config.left + config.chunk_size, device=x.device),
            torch.arange(config.left + config.chunk_size, device=x.device),
        )
        bias = distances.masked_fill(~visible.unsqueeze(1), -torch.inf)
        attentions, convolutions = [], []
        for index, block in enumerate(self.blocks):
            x, keys, past = block(x, bias, attention[index : index + 1], convolution[index])
            attentions.append(keys[:, :, config.chunk_size :])
            convolutions.append(past)
        return (
            F.log_softmax(self.head(x), dim=-1),
            torch.cat(attentions),
            torch.stack(convolutions),
        )

    def bias(self, frames: int, chunk: int, device: torch.device) -> Tensor:
        """Return ``[1, heads, frames, frames]``: -inf outside the chunk and its left context."""
        at = torch.arange(frames, device=device)
        first = at // chunk * chunk
        query, key = first[:, None], at[None, :]
        seen = (key >= query - self.config.left) & (key < query + chunk)
        return self.penalty(at, at).masked_fill(~seen, -torch.inf)

    def penalty(self, query: Tensor, key: Tensor) -> Tensor:
        """ALiBi (Press et al., 2022) in both directions: minus slope times distance.

        It is relative and has no weights, so an endless stream needs no position counter.
        """
        heads = self.config.heads
        slopes = torch.exp2(-8.0 * torch.arange(1, heads + 1, device=query.device) / heads)
        return -slopes[None, :, None, None] * (query[:, None] - key[None, :]).abs()
