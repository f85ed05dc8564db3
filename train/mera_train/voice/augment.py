"""Augmentation of log-mel frames, in addition to that of the recognizer."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from mera_train.asr import augment

Frames = NDArray[np.float32]

_NATS = np.log(10) / 10


class AugmentConfig(augment.AugmentConfig):
    """Augmentation of training utterances."""

    speed_factors: tuple[float, ...] = Field(
        (0.88, 1.14), description="range, of the disturbed copies"
    )
    reverb_prob: float = Field(0.5, ge=0, le=1, description="share of them with an echo")
    clipping_prob: float = Field(0.3, ge=0, le=1, description="share of them that are too loud")
    noise_prob: float = Field(0.5, ge=0, le=1, description="probability")
    snr_db: tuple[float, float] = (0.0, 25.0)
    eq_std_db: float = Field(4.0, ge=0, description="deviation of a random smooth equaliser")
    band_limit_prob: float = Field(0.0, ge=0, le=1, description="probability of a narrow channel")
    max_freq_warp: float = Field(
        0.06, ge=0, lt=0.5, description="longest stretch of the frequency axis"
    )
    mixup_prob: float = Field(0.4, ge=0, le=1, description="probability that a batch is mixed")
    max_leading_silence: int = Field(120, ge=0, description="frames before the first word, at most")


def disturb(frames: Frames, noise: Frames, config: AugmentConfig, generator: Generator) -> Frames:
    """Return a random augmentation of ``frames`` [n, 80]."""
    frames = augment.warp(frames, generator.uniform(-config.max_freq_warp, config.max_freq_warp))
    if generator.random() < config.noise_prob:
        frames = augment.add_noise(frames, noise, generator.uniform(*config.snr_db))
    frames = frames + equaliser(frames.shape[1], config.eq_std_db, generator)
    if generator.random() < config.band_limit_prob:
        frames = narrow(frames, generator)
    return augment.mask(frames, frames.mean(0), config, generator)


def equaliser(bins: int, deviation_db: float, generator: Generator) -> Frames:
    """Return a random smooth curve ``[bins]`` in nats, to simulate microphone and distance."""
    knots = generator.normal(0, deviation_db * _NATS, 6)
    return np.interp(np.linspace(0, 5, bins), np.arange(6), knots).astype(np.float32)


def narrow(frames: Frames, generator: Generator) -> Frames:
    """Attenuate low (below at most 330 Hz) and high (above at least 2.4 kHz) frequencies by 10 to
    50 dB, as telephones and codecs do.
    """
    low, high = generator.integers(0, 13), generator.integers(48, frames.shape[1] + 1)
    weaker = generator.uniform(10, 50) * _NATS
    frames = frames.copy()
    frames[:, :low] -= weaker
    frames[:, high:] -= weaker
    return frames
