"""Augmentation of face crops (camera and lighting effects), batch-wise."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class AugmentConfig(BaseModel):
    """Augmentation strength. A pair is a range; a single number is a maximum or a probability."""

    model_config = ConfigDict(extra="forbid")

    max_rotation_deg: float = Field(15.0, description="rotation to either side")
    crop_scale: tuple[float, float] = Field((0.8, 1.2), description="part of the side that is kept")
    max_shift: float = Field(0.1, description="as a share of the side")
    max_aspect_change: float = Field(0.1, description="change of the aspect ratio")
    blur_prob: float = Field(0.15, description="share of crops out of focus")
    downscale_prob: float = Field(0.15, description="share of crops from a far, small face")
    gamma: tuple[float, float] = Field((0.6, 1.6), description="of the light")
    max_shading: float = Field(0.5, description="light falling off from one side to the other")
    contrast: tuple[float, float] = Field((0.6, 1.5), description="with clipping")
    noise_std: float = Field(10.0, description="standard deviation in grey levels")
    erasing_prob: float = Field(0.3, description="share of crops with a part covered")
    mixup_alpha: float = Field(0.2, description="parameter of mixup's beta distribution; 0: none")


def uniform(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``[n, 1, 1, 1]`` numbers uniformly from [low, high)."""
    return low + (high - low) * torch.rand((n, 1, 1, 1), generator=generator)


def disturb(
    pictures: Tensor, size: int, config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    """Return augmented crops ``[n, 1, size, size]`` of ``pictures`` ``[n, 1, H, W]``, 0 to 255."""
    crops = _move(pictures, size, config, generator)
    crops = _defocus(crops, config, generator)
    crops = _light(crops, config, generator)
    crops = crops + torch.randn(crops.shape, generator=generator) * uniform(
        0, config.noise_std, len(crops), generator
    ) * (uniform(0, 1, len(crops), generator) < 0.5)
    return _hide(crops.clamp(0, 255), config, generator)


def _move(pictures: Tensor, size: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    n = len(pictures)

    def draw(low: float, high: float) -> Tensor:
        return uniform(low, high, n, generator).reshape(n)

    angle = torch.deg2rad(draw(-config.max_rotation_deg, config.max_rotation_deg))
    zoom, stretch = (
        draw(*config.crop_scale),
        draw(1 - config.max_aspect_change, 1 + config.max_aspect_change),
    )
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    theta = torch.stack(
        [
            torch.stack(
                [cos * mirror * stretch, -sin, draw(-config.max_shift, config.max_shift) * 2], 1
            ),
            torch.stack(
                [sin * mirror * stretch, cos, draw(-config.max_shift, config.max_shift) * 2], 1
            ),
        ],
        1,
    )
    grid = F.affine_grid(theta, [n, 1, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, "bilinear", "border", align_corners=False)


def _defocus(crops: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    n, size = len(crops), crops.shape[-1]
    soft = F.avg_pool2d(F.avg_pool2d(crops, 3, 1, 1, count_include_pad=False), 3, 1, 1,
                        count_include_pad=False)  # fmt: skip
    # Some crops are blurred, the others slightly sharpened.
    share = torch.where(
        uniform(0, 1, n, generator) < config.blur_prob,
        uniform(0.3, 1, n, generator),
        uniform(-0.4, 0.1, n, generator),
    )
    crops = torch.lerp(crops, soft, share)
    side = int(torch.randint(size // 3, size * 3 // 4, (), generator=generator))
    far = F.interpolate(crops, (side, side), mode="area")
    far = F.interpolate(far, (size, size), mode="bilinear", align_corners=False)
    return torch.where(uniform(0, 1, n, generator) < config.downscale_prob, far, crops)


def _light(crops: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    n, size = len(crops), crops.shape[-1]
    ramp = torch.linspace(-1, 1, size)
    angle = uniform(0, 2 * torch.pi, n, generator)
    slope = torch.cos(angle) * ramp[None, None, None, :] + torch.sin(angle) * ramp[:, None]
    light = 1 + uniform(0, config.max_shading, n, generator) * slope.clamp(-1, 1)
    crops = (crops.clamp(0, 255) / 255) ** uniform(*config.gamma, n, generator) * light
    middle = crops.mean((2, 3), keepdim=True)
    return ((crops - middle) * uniform(*config.contrast, n, generator) + middle) * 255


def _hide(crops: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    n, size = len(crops), crops.shape[-1]
    place = torch.arange(size)
    sides = [uniform(0.1, 0.45, n, generator) * size for _ in "hw"]
    starts = [uniform(-0.1, 0.9, n, generator) * size for _ in "hw"]
    rows, columns = place[:, None], place[None, :]
    covered = (
        (rows >= starts[0])
        & (rows < starts[0] + sides[0])
        & (columns >= starts[1])
        & (columns < starts[1] + sides[1])
        & (uniform(0, 1, n, generator) < config.erasing_prob)
    )
    return torch.where(covered, uniform(0, 255, n, generator), crops)


def mix(tensors: list[Tensor], config: AugmentConfig, generator: torch.Generator) -> list[Tensor]:
    """Mixup: blend every row with another one, alike in all tensors (Zhang et al., 2018)."""
    if config.mixup_alpha == 0:
        return tensors
    n = len(tensors[0])
    # Beta(a, a) by Jöhnk's method, which is exact for a <= 1.
    u, v = (torch.rand((64, n), generator=generator) ** (1 / config.mixup_alpha) for _ in "uv")
    accepted = (u + v <= 1).to(torch.uint8).argmax(0)
    u, v = u[accepted, torch.arange(n)], v[accepted, torch.arange(n)]
    share = u / (u + v).clamp_min(1e-20)
    share = torch.maximum(share, 1 - share)
    other = torch.randperm(n, generator=generator)
    return [
        torch.lerp(tensor[other], tensor, share.reshape(n, *[1] * (tensor.ndim - 1)))
        for tensor in tensors
    ]
