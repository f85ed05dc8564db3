"""Whisper's encoder (Radford et al., 2022) as a stream: chunks that see a bounded past, and CTC.

It begins with the weights of the original (`mera_train.asr.pretrained`), or with random ones. What
differs from it: the features are the device's, a chunk does not see what comes after it, and what
the blocks say is joined in pairs, to 25 scores a second.
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
"""Standard deviations below the mean, in each bin: what is quieter than that is silence."""


class Stem(nn.Module):
    """Normalised frames ``[B, T, 80]`` to 50 frames a second, ``[B, T / 2 - 2, width]``.

    Without padding: an output frame reads five frames from the double of its place on.
    """

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(bins, width, 3)
        self.second = nn.Conv1d(width, width, 3, stride=2)

    def forward(self, frames: Tensor) -> Tensor:
        """Return ``[B, T / 2 - 2, width]`` of normalised frames ``[B, T, 80]``, ``T`` even.
        Values below `QUIETEST` are clamped to it: silence is not told apart further."""
        x = F.gelu(self.first(frames.clamp(min=QUIETEST).transpose(1, 2)))
        return F.gelu(self.second(x)).transpose(1, 2)


class Block(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config, nn.GELU)

    def forward(self, x: Tensor, chunk: int, left: int) -> tuple[Tensor, Tensor]:
        """Encode ``x [B, T, d]`` in chunks, each of which sees ``left`` frames before it.

        Returns the output, and keys and values ``[B, heads, T, 2 d/heads]``.

        Chunks are attended to one by one, as rows of a batch: a mask over all frames would cost
        more time than all else on long utterances.
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
    """Frames to scores; takes and gives what `mera_train.asr.model.Conformer` does.

    The blocks run at 50 frames a second, so that their weights keep their meaning; a chunk's past
    is as many of these frames as `ModelConfig.left` says.
    """

    def __init__(
        self, config: ModelConfig, mean: Tensor, inverse_std: Tensor, symbols: int
    ) -> None:
        super().__init__(config, Stem(config.width, len(mean)), mean, inverse_std, symbols)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.join = nn.Linear(2 * config.width, config.width)

    def forward(self, normalised: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """Encode whole utterances as if they came in chunks of ``chunk`` encoder frames.

        Args:
            normalised: frames after CMVN, ``[B, T, 80]``.
            chunk: one that is longer than the utterances lets all see all.

        Returns:
            Scores of the symbols ``[B, encoder frames, symbols]``, and of the phones
            ``[B, encoder frames, 1, phones]`` by what symbols are scored by, or by the keys and
            values of `ModelConfig.phone_head_block`.
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
            offset: int64 ``[1]``: encoder frames before it, and ``left``.
            attention: ``[blocks, heads, left, 2 d/heads]``, zeros at the beginning.
            state: handed through; the window holds all that the convolutions read.
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
        """Join the blocks' answers in pairs: ``[B, T, d]`` to ``[B, T / 2, d]``."""
        return F.gelu(self.join(self.norm(x).unflatten(1, (-1, 2)).flatten(2)))

    def positions(self, at: Tensor) -> Tensor:
        """Return the sinusoids of the places ``at [T]``, ``[T, width]``: Whisper's table, but
        computed, so that it has no end."""
        half = self.config.width // 2
        rates = torch.exp(torch.arange(half, device=at.device) * -(math.log(10_000) / (half - 1)))
        angles = at[:, None].float() * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def _bias(visible: Tensor) -> Tensor:
    """``visible [N, ..., keys]`` to ``[N, 1, 1, keys]``: minus infinity for what is not seen."""
    return (
        torch.zeros_like(visible, dtype=torch.float32)
        .masked_fill(~visible, -torch.inf)
        .reshape(-1, 1, 1, visible.shape[-1])
    )
