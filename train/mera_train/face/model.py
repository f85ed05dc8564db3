"""The face encoder: a small residual network of plain 3x3 convolutions, which INT8 makes faster."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mera_edge.labels import EMOTIONS
from mera_train.face.data import LABELS
from mera_train.temperature import Calibrated


class ModelConfig(BaseModel):
    """Layer sizes. Every stage halves the image size."""

    model_config = ConfigDict(extra="forbid")

    crop_size: int = Field(48, ge=32, multiple_of=16, description="side of the face crop in pixels")
    stem_channels: int = Field(24, ge=8, description="channels at full size")
    channels: tuple[int, ...] = Field((48, 96, 144, 192), description="channels of each stage")
    blocks: tuple[int, ...] = Field((1, 2, 2, 1), description="residual blocks of each stage")
    embedding_dim: int = Field(96, ge=64, le=128, description="width of what the fusion reads")
    dropout: float = Field(0.2, ge=0, lt=1, description="before the embedding and the heads")


def convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution of ``side`` x ``side`` pixels with batch norm, padded so that only
    the stride changes the size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Block(nn.Module):
    """Residual block of two convolutions (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, 3, stride)
        self.second = convolution(outputs, outputs, 3)
        self.around: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            # Average pooling first: a strided 1x1 convolution would discard three of four pixels.
            self.around = nn.Sequential(nn.AvgPool2d(stride), convolution(inputs, outputs, 1))
        # The block starts as the identity, which makes training faster and more stable.
        nn.init.zeros_(self.second.get_parameter("1.weight"))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, outputs, H / stride, W / stride]`` of ``[n, inputs, H, W]``."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.around(x))


class FaceNet(Calibrated):
    """``face`` ``[B, 1, S, S]``, grey from 0 to 255 -> logits, valence, embedding.

    `logits` are over FER+'s eight labels. `fer2013` is a second head over FER2013's seven labels,
    used in training and evaluation but not on the device.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(convolution(1, config.stem_channels, 3), nn.ReLU())
        stages: list[nn.Module] = []
        width = config.stem_channels
        for channels, blocks in zip(config.channels, config.blocks, strict=True):
            stages += [Block(width, channels, 2)]
            stages += [Block(channels, channels, 1) for _ in range(blocks - 1)]
            width = channels
        self.stages = nn.Sequential(*stages)
        self.embed = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(width, config.embedding_dim), nn.ReLU()
        )
        self.dropout = nn.Dropout(config.dropout)
        self.emotion = nn.Linear(config.embedding_dim, len(LABELS))
        self.fer2013 = nn.Linear(config.embedding_dim, len(EMOTIONS))
        self.valence = nn.Linear(config.embedding_dim, 1)

    def encode(self, face: Tensor) -> Tensor:
        """Return the embedding ``[B, D]``; in eval mode the mean with its mirror image's."""
        x = standardise(face)
        if self.training:
            return self._embed(x)
        one, other = self._embed(torch.cat([x, x.flip(3)])).chunk(2)
        return (one + other) / 2

    def _embed(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        embedding: Tensor = self.embed(self.stages(self.stem(x)).mean((2, 3)))
        return embedding

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits ``[B, 8]``, FER2013 logits ``[B, 7]``, valence ``[B, 1]``, embedding."""
        embedding = self.encode(face)
        x = self.dropout(embedding)
        return self.emotion(x), self.fer2013(x), torch.tanh(self.valence(x)), embedding


def standardise(face: Tensor) -> Tensor:
    """Scale every crop to mean 0 and standard deviation 1, independent of light and contrast."""
    face = face / 255
    centred = face - face.mean((1, 2, 3), keepdim=True)
    # The floor of four grey levels keeps noise on a uniform surface from being amplified.
    return centred / torch.sqrt((centred**2).mean((1, 2, 3), keepdim=True) + (4 / 255) ** 2)
