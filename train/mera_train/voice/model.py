"""A causal convolutional encoder with streaming attentive pooling."""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from mera_edge.features.fbank import BINS, FLOOR
from mera_train.temperature import Calibrated

LOUD, RANGE = 4.0, 1.0
"""Midpoint of the loudness gate below the loudest frame (nats; 17 dB), and its width."""
FADE = 0.02
"""Decay of the level of the loudest frame per chunk, in nats."""
SURPASSED = 1.5
"""Increase of the level (in nats) that makes the pooling forget 63 %: the past was the silence
before the first word.
"""
PRIOR = 30.0
"""Weight of the corpus's mean spectrum (not level) as a prior for the utterance's, in frames."""
SHARPEST = 6.0
"""Largest attention score, which bounds the relative weight of a frame."""

Caches = tuple[Tensor, ...]


class BlocksConfig(BaseModel):
    """Residual blocks of this encoder and of the speech detector."""

    model_config = ConfigDict(extra="forbid")

    blocks: int = Field(4, ge=1, description="residual blocks; the dilation doubles up to 8")
    kernel_size: int = Field(5, ge=2, description="of a block, in frames of 40 ms")


class ModelConfig(BlocksConfig):
    """Layer sizes of the encoder."""

    channels: tuple[int, int, int] = Field((24, 48, 64), description="of the three 2-D layers")
    width: int = Field(160, ge=16, description="channels after them")
    embedding_dim: int = Field(96, ge=64, le=128)
    dropout: float = Field(0.2, ge=0, lt=1)
    chunk_size: int = Field(32, ge=4, multiple_of=4, description="frames of 10 ms to an answer")
    ensemble_size: int = Field(1, ge=1, le=4, description="encoders whose answers are averaged")
    pooling_time_constant_s: float = Field(
        10.0, gt=0, description="time in which the pooling forgets 63 %"
    )


class Planes(nn.Module):
    """A causal 3x3 convolution over time and frequency."""

    def __init__(self, inside: int, outside: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inside, outside, 3, stride, padding=(0, 1), bias=False)
        self.norm = nn.BatchNorm2d(outside)
        # With stride 2, the newest frame is the second of a pair: one frame is cached.
        self.context = 3 - stride[0]

    def cache(self, bins: int) -> tuple[int, ...]:
        """Return the shape of the cache without the batch axis, for a number of frequencies."""
        return self.convolution.in_channels, self.context, bins

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, outside, T / stride, F / stride]`` and the cache for the next frames.

        Args:
            x: ``[B, inside, T, F]``, the newest frame last.
            cache: the frames before ``x``: ``[B, *cache(F)]``.
        """
        seen = torch.cat([cache, x], 2)
        return F.relu(self.norm(self.convolution(seen))), seen[:, :, -self.context :]


class Block(nn.Module):
    """Causal depthwise dilated convolution, then two pointwise layers."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.context = (kernel - 1) * dilation
        self.depthwise = nn.Conv1d(width, width, kernel, dilation=dilation, groups=width)
        self.norm = nn.BatchNorm1d(width)
        self.mix = nn.Sequential(
            nn.Conv1d(width, 2 * width, 1), nn.ReLU(), nn.Conv1d(2 * width, width, 1)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, width, T]`` and the cache for the next frames.

        Args:
            x: ``[B, width, T]``, the newest frame last.
            cache: the ``context`` frames before ``x``, ``[B, width, context]``.
        """
        seen = torch.cat([cache, x], 2)
        y = self.dropout(self.mix(self.norm(self.depthwise(seen))))
        return x + y, seen[:, :, -self.context :]


def flatten(channels: int, bins: int, width: int) -> nn.Sequential:
    """Return the layer from the planes' ``channels * bins`` to the blocks' ``width``."""
    return nn.Sequential(nn.Conv1d(channels * bins, width, 1), nn.BatchNorm1d(width), nn.ReLU())


def residual_blocks(config: BlocksConfig, width: int, dropout: float) -> list[Block]:
    """Return the blocks, whose dilations are 1, 2, 4, 8, 1, ..."""
    return [Block(width, config.kernel_size, 2 ** (i % 4), dropout) for i in range(config.blocks)]


class Voice(Calibrated):
    """Interface of a streaming voice encoder or ensemble."""

    config: ModelConfig

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Return mean and inverse standard deviation ``[80]`` of level-normalised speech."""
        raise NotImplementedError

    def empty(self, batch: int = 1) -> Caches:
        """Return the initial caches, in the order of `cache_names`."""
        raise NotImplementedError

    @property
    def cache_names(self) -> list[str]:
        """What the caches of `empty` are, in order."""
        raise NotImplementedError


class VoiceEncoder(Voice):
    """Maps log-mel frames to an output per chunk, based on the utterance so far.

    All caches have a fixed size and are zero at the beginning of an utterance, so a stream and a
    whole recording give the same outputs. The level at the microphone has no effect: it is
    subtracted from the first chunk on.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(
        self, config: ModelConfig, mean: Tensor, inverse_std: Tensor, classes: int
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", mean)
        self.register_buffer("inverse_std", inverse_std)
        one, two, three = config.channels
        planes = [Planes(2, one, (2, 2)), Planes(one, two, (2, 2)), Planes(two, three, (1, 2))]
        self.planes = nn.ModuleList(planes)
        self.flatten = flatten(three, BINS // 8, config.width)
        blocks = residual_blocks(config, config.width, config.dropout)
        self.blocks = nn.ModuleList(blocks)
        self._cache_shapes: list[tuple[int, ...]] = [
            *((1,), (2 + BINS,)),
            *(plane.cache(BINS >> layer) for layer, plane in enumerate(planes)),
            *((config.width, block.context) for block in blocks),
            (1 + 2 * config.width,),
        ]
        self.attention = nn.Conv1d(config.width, 1, 1)
        self.embed = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(2 * config.width, config.embedding_dim), nn.Tanh()
        )
        self.classify = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(config.embedding_dim, classes)
        )
        self.valence = nn.Linear(config.embedding_dim, 1)
        self.remember = math.exp(-config.chunk_size / 100 / config.pooling_time_constant_s)

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Return mean and inverse standard deviation ``[80]`` of level-normalised speech."""
        return self.mean, self.inverse_std

    def empty(self, batch: int = 1) -> Caches:
        """Return the initial caches, in the order of `cache_names`."""
        device = self.mean.device
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self._cache_shapes)

    @property
    def cache_names(self) -> list[str]:
        """What the caches of `empty` are, in order."""
        planes = [f"plane_{i}" for i in range(len(self.planes))]
        blocks = [f"block_{i}" for i in range(len(self.blocks))]
        return ["loudest", "level", *planes, *blocks, "pooled"]

    def forward(self, frames: Tensor, caches: Caches) -> tuple[Tensor, Tensor, Tensor, Caches]:
        """Encode whole chunks.

        Args:
            frames: ``[B, n * chunk, 80]`` log-mel.
            caches: caches after the previous chunk.

        Returns:
            Logits ``[B, n, C]``, valence ``[B, n]`` in [-1, 1], embeddings ``[B, n, D]``, and the
            caches for the next chunk.
        """
        with torch.autocast(frames.device.type, enabled=False):
            x, gate, keep, loudest, level = self._normalise(frames.float(), *caches[:2])
        after = []
        for layer, cache in zip(self.planes, caches[2:5], strict=True):
            x, cache = layer(x, cache.to(x.dtype))
            after.append(cache)
        x = self.flatten(x.transpose(2, 3).flatten(1, 2))
        for layer, cache in zip(self.blocks, caches[5:-1], strict=True):
            x, cache = layer(x, cache.to(x.dtype))
            after.append(cache)
        with torch.autocast(frames.device.type, enabled=False):
            pooled, state = self._pool(x.float(), gate, keep, caches[-1])
            embedding = self.embed(pooled)
            scores = self.classify(embedding) / self.temperature
            valence = torch.tanh(self.valence(embedding)).squeeze(2)
        return scores, valence, embedding, (loudest, level, *after, state)

    def _normalise(
        self, frames: Tensor, loudest: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor, Tensor]:
        """Subtract the level of the loud frames so far and, in a second channel, their mean
        spectrum, to compensate for microphone and distance.

        Returns:
            The input ``[B, 2, T, 80]``, the gate ``[B, T, 1]``, the decay factor of each chunk, and
            two caches: the level of the loudest frame above digital silence; and the share, energy
            and spectrum of the loud frames, summed over the chunks.
        """
        # Relative to `FLOOR`, so that the initial zero of the caches means digital silence.
        frames = frames - FLOOR
        energy = frames.mean(2)
        parts, gates, keeps = [], [], []
        for chunk, loudness in zip(
            frames.split(self.config.chunk_size, 1),
            energy.split(self.config.chunk_size, 1),
            strict=True,
        ):
            before = loudest - FADE
            loudest = torch.maximum(before, loudness.amax(1, keepdim=True))
            keep = self.remember * torch.exp((before - loudest) / SURPASSED)
            gate = torch.sigmoid((loudness - loudest + LOUD) / RANGE).unsqueeze(2)
            count, total, spectrum = (keep * level).split([1, 1, BINS], 1)
            count, total = count + gate.mean(1), total + (gate.squeeze(2) * loudness).mean(1, True)
            heard = (chunk - (total / count).unsqueeze(1) - self.mean) * self.inverse_std
            spectrum = spectrum + (gate * heard).mean(1)
            level = torch.cat([count, total, spectrum], 1)
            flat = heard - (spectrum / (count + PRIOR / self.config.chunk_size)).unsqueeze(1)
            parts.append(torch.stack([heard, flat], 1))
            gates.append(gate)
            keeps.append(keep)
        return torch.cat(parts, 2), torch.cat(gates, 1), keeps, loudest, level

    def _pool(
        self, x: Tensor, gate: Tensor, keeps: list[Tensor], state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pool all frames so far: mean and deviation, weighted by attention and loudness."""
        heard = gate.squeeze(2).unflatten(1, (-1, 4)).mean(2)
        score = SHARPEST * torch.tanh(self.attention(x).squeeze(1) / SHARPEST)
        weight = (torch.exp(score) * heard).unsqueeze(1)
        sums = torch.cat([weight, weight * x, weight * x * x], 1)
        answers = []
        for chunk, keep in zip(sums.split(self.config.chunk_size // 4, 2), keeps, strict=True):
            state = keep * state + chunk.sum(2)
            total = state[:, :1] + 1e-3
            mean, square = (state[:, 1:] / total).chunk(2, 1)
            deviation = torch.sqrt(F.relu(square - mean * mean) + 1e-4)
            answers.append(torch.cat([mean, deviation], 1))
        return torch.stack(answers, 1), state
