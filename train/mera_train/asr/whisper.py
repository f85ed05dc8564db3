"""Streaming Whisper encoder (Radford et al., 2022): chunks with a bounded left context, and CTC.

It is initialized with the original weights (`mera_train.asr.pretrained`) or at random. Differences
from the original: the features are the device's, a chunk has no right context, and the outputs of
the blocks are joined in pairs, to 25 scores a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mera_train.asr.encoder import Encoder, ModelConfig
from mera_train.asr.model import Attention, FeedForward

QUIETEST = -3.0
"""Silence threshold per bin, in standard deviations from the mean."""


class Stem(nn.Module):
    """Normalised frames ``[B, T, 80]`` to 50 frames a second, ``[B, T / 2 - 2, width]``.

    Without padding: output frame t reads five input frames from 2 t on.
    """

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(bins, width, 3)
        self.second = nn.Conv1d(width, width, 3, stride=2)

    def forward(self, frames: Tensor) -> Tensor:
        """Return ``[B, T / 2 - 2, width]`` of normalised frames ``[B, T, 80]``, ``T`` even.
        Values below `QUIETEST` are clamped, so that all silence is equal."""
        x = F.gelu(self.first(frames.clamp(min=QUIETEST).transpose(1, 2)))
        return F.gelu(self.second(x)).transpose(1, 2)


class Block(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config, nn.GELU)

    def forward(self, x: Tensor, chunk: int, left: int) -> tuple[Tensor, Tensor]:
        """Encode ``x [B, T, d]`` in chunks with a left context of ``left`` frames.

        Returns the output, and the keys and values ``[B, heads, T, 2 d/heads]``.

        Chunks are rows of a batch: on long utterances, attention with a mask over all frames would
        take more time than everything else.
        """
        batch, time, _ = x.shape
        count = -(-time // chunk)
        rest = count * chunk - time
        query, both = self.attention.project(x)
        query = F.pad(query, (0, 0, 0, rest)).unflatten(2, (count, chunk))
        seen = F.pad(both, (0, 0, left, rest)).unfold(2, left + chunk, chunk)
        first = torch.arange(count, device=x.device)[:, None] * chunk - left
        at = first + torch.arange(left + chunk, device=x.device)
        mixed = self.attention.mix(
            query.transpose(1, 2).flatten(0, 1),
            seen.permute(0, 2, 1, 4, 3).flatten(0, 1),
            _bias((at >= 0) & (at < time)).repeat(batch, 1, 1, 1),
        )
        x = x + mixed.unflatten(0, (batch, count)).flatten(1, 2)[:, :time]
        return x + self.feed_forward(x), both

    def stream(self, x: Tensor, cache: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one chunk ``x [1, chunk, d]``; return it and the next cache."""
        mixed, both = self.attention(x, _bias(visible), cache)
        x = x + mixed
        return x + self.feed_forward(x), both[:, :, x.shape[1] :]


class Whisper(Encoder):
    """Whisper with the interface of `mera_train.asr.model.Conformer`.

    The blocks run at 50 frames a second, as in the original; the left context is `ModelConfig.left`
    of these frames.
    """

    def __init__(
        self, config: ModelConfig, mean: Tensor, inverse_std: Tensor, symbols: int
    ) -> None:
        super().__init__(config, Stem(config.width, len(mean)), mean, inverse_std, symbols)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.join = nn.Linear(2 * config.width, config.width)

    def forward(self, normalised: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """Encode whole utterances in chunks of ``chunk`` encoder frames.

        Args:
            normalised: frames after CMVN, ``[B, T, 80]``.
            chunk: if longer than the utterances, attention is unrestricted.

        Returns:
            Symbol scores ``[B, encoder frames, symbols]``, and phone scores ``[B, encoder frames,
            1, phones]`` from the same features or from the keys and values of
            `ModelConfig.phone_head_block`.
        """
        x = self.stem(normalised)
        frames = x.shape[1] // 2
        chunk, left = (chunk, self.config.left) if chunk < frames else (frames, 0)
        x = x[:, : 2 * frames]
        x = x + self.positions(torch.arange(2 * frames, device=x.device))
        inner = None
        for index, block in enumerate(self.blocks):
            x, keys = block(x, 2 * chunk, left)
            if index == self.config.phone_head_block:
                inner = keys.transpose(1, 2).flatten(2).unflatten(1, (-1, 2)).flatten(2)
        joined = self._joined(x)
        return self.scores(joined, joined if inner is None else inner)

    def stream(
        self, frames: Tensor, offset: Tensor, attention: Tensor, state: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode one window.

        Args:
            frames: ``[1, window, 80]``, before CMVN.
            offset: int64 ``[1]``: number of preceding encoder frames plus ``left``.
            attention: ``[blocks, heads, left, 2 d/heads]``, zeros at the beginning.
            state: returned unchanged; the window contains all input of the convolutions.
            visible: bool ``[1, 1, left + chunk]``, false where the cache is not yet filled.

        Returns:
            Log-probabilities ``[1, chunk, symbols]`` and the next caches.
        """
        left, chunk = self.config.left, self.config.chunk_size
        x = self.stem(self.normalise(frames))
        at = 2 * (offset - left) + torch.arange(2 * chunk, device=x.device)
        x = x + self.positions(at)
        nearer = visible[..., left // 2 :, None].expand(-1, -1, -1, 2).flatten(2)
        kept = []
        blocks = cast(Iterable[Block], self.blocks)
        for block, cache in zip(blocks, attention.split(1), strict=True):
            x, cache = block.stream(x, cache, nearer)
            kept.append(cache)
        scores = F.log_softmax(self.head(self._joined(x)), dim=-1)
        return scores, torch.cat(kept), state + 0.0

    def _joined(self, x: Tensor) -> Tensor:
        """Join the outputs of the blocks in pairs: ``[B, T, d]`` to ``[B, T / 2, d]``."""
        return F.gelu(self.join(self.norm(x).unflatten(1, (-1, 2)).flatten(2)))

    def positions(self, at: Tensor) -> Tensor:
        """Return the sinusoidal embeddings of positions ``at [T]``, ``[T, width]``: as in Whisper's
        table, but computed, so that a stream can be of any length.
        """
        half = self.config.width // 2
        rates = torch.exp(torch.arange(half, device=at.device) * -(math.log(10_000) / (half - 1)))
        angles = at[:, None].float() * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def _bias(visible: Tensor) -> Tensor:
    """Return ``[N, 1, 1, keys]`` of ``visible [N, ..., keys]``: minus infinity for hidden keys."""
    return (
        torch.zeros_like(visible, dtype=torch.float32)
        .masked_fill(~visible, -torch.inf)
        .reshape(-1, 1, 1, visible.shape[-1])
    )
