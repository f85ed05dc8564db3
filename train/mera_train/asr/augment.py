"""Disturbances of log-mel frames: noise, loudness, masked bands and moments."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Frames = NDArray[np.float32]


class AugmentConfig(BaseModel):
    """What is done to a training utterance, and how often."""

    model_config = ConfigDict(extra="forbid")

    speeds: tuple[float, ...] = Field((0.9, 1.0, 1.1), description="one is drawn every time")
    noise: float = Field(0.25, ge=0, le=1, description="probability")
    snr_db: tuple[float, float] = (5.0, 25.0)
    gain_db: tuple[float, float] = (-10.0, 5.0)
    bands: int = Field(2, ge=0, description="masked bands")
    band_width: int = Field(18, ge=0, description="bins, at most")
    moments: float = Field(1.0, ge=0, description="masked moments a second")
    moment_length: int = Field(12, ge=0, description="frames, at most")


def add_noise(frames: Frames, noise: Frames, snr_db: float) -> Frames:
    """Mix in ``noise`` [m, 80], repeated as needed, at a signal-to-noise ratio.

    Mel energies of independent sounds add up, so no waveform is needed.
    """
    repeated = np.resize(noise, frames.shape)
    signal, disturbance = np.exp(frames).mean(), np.exp(noise).mean()
    gain = np.log(signal / disturbance) - snr_db * np.log(10) / 10
    return np.logaddexp(frames, repeated + gain).astype(np.float32)


def gain(frames: Frames, decibel: float) -> Frames:
    """Make louder or softer."""
    return frames + np.float32(decibel * np.log(10) / 10)


def mask(frames: Frames, fill: Frames, config: AugmentConfig, generator: Generator) -> Frames:
    """SpecAugment (Park et al., 2019): set bands and moments to ``fill`` [80]."""
    frames = frames.copy()
    count, bins = frames.shape
    for _ in range(config.bands):
        width = generator.integers(0, config.band_width + 1)
        first = generator.integers(0, bins - width + 1)
        frames[:, first : first + width] = fill[first : first + width]
    for _ in range(generator.poisson(config.moments * count / 100)):
        first = generator.integers(0, count)
        frames[first : first + generator.integers(0, config.moment_length + 1)] = fill
    return frames
