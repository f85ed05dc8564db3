"""The face detector: a small anchor-free network of plain 3x3 convolutions."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
"""Of the three levels; faces of up to about six strides are found on each."""

LANDMARKS = 5


class ModelConfig(BaseModel):
    """Layer sizes: channels at strides 2, 4, 8, 16 and 32, and of the shared head."""

    model_config = ConfigDict(extra="forbid")

    channels: tuple[int, int, int, int, int] = (16, 24, 48, 64, 48)
    head_channels: int = Field(32, ge=8)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3 x 3 convolution with batch norm and ReLU, padded so that only the stride
    changes the size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class FaceDetectorNet(nn.Module):
    """``picture`` ``[B, 1, H, W]``, grey from 0 to 255, H and W multiples of 32 -> N anchor points.

    An anchor point is a cell of one of the three levels: N = HW/64 + HW/256 + HW/1024.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        two, four, eight, sixteen, last = config.channels
        self.stem = nn.Sequential(convolution(1, two, 2), convolution(two, four, 2))
        self.levels = nn.ModuleList(
            nn.Sequential(convolution(inputs, outputs, 2), convolution(outputs, outputs))
            for inputs, outputs in ((four, eight), (eight, sixteen), (sixteen, last))
        )
        self.lateral = nn.ModuleList(
            nn.Conv2d(width, config.head_channels, 1) for width in (eight, sixteen, last)
        )
        self.head = nn.Conv2d(config.head_channels, config.head_channels, 3, padding=1, bias=False)
        # The levels share a head, but not its batch norm statistics.
        self.norms = nn.ModuleList(nn.BatchNorm2d(config.head_channels) for _ in STRIDES)
        self.answer = nn.Conv2d(config.head_channels, 1 + 4 + 2 * LANDMARKS, 1)
        # Faces are rare: without this prior the first steps only suppress false positives (Lin,
        # 2017).
        bias = torch.zeros(self.answer.out_channels)
        bias[0] = -4.6
        self.answer.bias = nn.Parameter(bias)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits ``[B, N]``, boxes ``[B, N, 4]`` and landmarks ``[B, N, 10]`` in pixels.

        A box is left, top, right, bottom; landmarks are x and y of right eye, left eye, nose, right
        and left corner of the mouth (the person's right and left).
        """
        x = self.stem(picture / 127.5 - 1)
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        merged = self.lateral[-1](features[-1])
        tops = [merged]
        for lateral, feature in zip(self.lateral[-2::-1], features[-2::-1], strict=True):
            merged = lateral(feature) + F.interpolate(merged, scale_factor=2.0, mode="nearest")
            tops.insert(0, merged)
        parts = [
            _decoded(self.answer(torch.relu(norm(self.head(top)))), stride)
            for top, norm, stride in zip(tops, self.norms, STRIDES, strict=True)
        ]
        logits, boxes, landmarks = (torch.cat(part, 1) for part in zip(*parts, strict=True))
        return logits, boxes, landmarks


def places(height: int, width: int, stride: int) -> Tensor:
    """Return ``[N, 2]``: x and y of the centre of every cell of a level, in pixels."""
    rows = (torch.arange(height) + 0.5) * stride
    columns = (torch.arange(width) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def _decoded(answer: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    height, width = answer.shape[-2:]
    middle = places(height, width, stride).to(answer.device)
    answer = answer.flatten(2).transpose(1, 2).float()
    away = answer[..., 1:5].clamp(-4, 4).exp() * stride
    boxes = torch.cat([middle - away[..., :2], middle + away[..., 2:]], -1)
    landmarks = answer[..., 5:] * stride + middle.repeat(1, LANDMARKS)
    return answer[..., 0], boxes, landmarks
