"""A small causal speech detector, independent of level."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from mera_edge.features.fbank import BINS, FLOOR
from mera_train.voice.model import BlocksConfig, Planes, flatten, residual_blocks

FADE = 0.1
"""Decay of the loudest frame's level per chunk, in nats: 11 dB per second. (0.04 gives fewer false
alarms, but misses speech for seconds after a bang.)
"""
FAINTEST = -12.0
"""Lower limit relative to the loudest frame, in nats of energy."""

CHUNK = 4
"""Frames per output (40 ms)."""

Caches = tuple[Tensor, ...]


class ModelConfig(BlocksConfig):
    """Layer sizes of the detector."""

    channels: tuple[int, int] = Field((8, 16), description="of the two 2-D layers")
    width: int = Field(48, ge=8, description="channels after them")
    dropout: float = Field(0.1, ge=0, lt=1)


class Detector(nn.Module):
    """Maps log-mel frames to an output every 40 ms.

    The input has two channels: frames minus their own mean (the spectral shape), and frames minus
    the loudest frame of the last seconds (the envelope). Both are independent of the level.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        one, two = config.channels
        planes = [Planes(2, one, (2, 2)), Planes(one, two, (2, 2))]
        self.planes = nn.ModuleList(planes)
        self.flatten = flatten(two, BINS // 4, config.width)
        blocks = residual_blocks(config, config.width, config.dropout)
        self.blocks = nn.ModuleList(blocks)
        self._cache_shapes: list[tuple[int, ...]] = [
            (1,),
            *(plane.cache(BINS >> layer) for layer, plane in enumerate(planes)),
            *((config.width, block.context) for block in blocks),
        ]
        self.answer = nn.Conv1d(config.width, 1, 1)

    def empty(self, batch: int = 1) -> Caches:
        """Return the initial caches, in the order of `cache_names`."""
        device = self.answer.weight.device
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self._cache_shapes)

    @property
    def cache_names(self) -> list[str]:
        """What the caches of `empty` are, in order."""
        planes = [f"plane_{i}" for i in range(len(self.planes))]
        return ["loudest", *planes, *(f"block_{i}" for i in range(len(self.blocks)))]

    def forward(self, frames: Tensor, caches: Caches) -> tuple[Tensor, Caches]:
        """Process whole chunks.

        Args:
            frames: ``[B, n * 4, 80]`` log-mel.
            caches: caches after the previous chunk.

        Returns:
            Log-odds of speech ``[B, n]``, and the caches for the next chunk.
        """
        with torch.autocast(frames.device.type, enabled=False):
            x, loudest = _without_level(frames.float(), caches[0])
        after = [loudest]
        layers = [*self.planes, *self.blocks]
        for index, (layer, cache) in enumerate(zip(layers, caches[1:], strict=True)):
            if index == len(self.planes):
                x = self.flatten(x.transpose(2, 3).flatten(1, 2))
            x, cache = layer(x, cache.to(x.dtype))
            after.append(cache)
        return self.answer(x).squeeze(1), tuple(after)


def _without_level(frames: Tensor, loudest: Tensor) -> tuple[Tensor, Tensor]:
    """Return both channels, ``[B, 2, T, 80]``, and the level of the loudest frame.

    The level is relative to `FLOOR`, so that its initial value 0 means digital silence.
    """
    energy = frames.mean(2)
    levels = []
    for chunk in energy.split(CHUNK, 1):
        loudest = torch.maximum(loudest - FADE, chunk.amax(1, keepdim=True) - FLOOR)
        levels.append(loudest)
    level = torch.cat(levels, 1).repeat_interleave(CHUNK, 1) + FLOOR
    shape = frames - energy.unsqueeze(2)
    return torch.stack([shape, (frames - level.unsqueeze(2)).clamp_min(FAINTEST)], 1), loudest
