"""Augmentation of log-mel frames: reverberation, noise, gain, delay, masked bands and frames."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.signal import lfilter

from mera_edge.features.fbank import FLOOR, FRAME_SHIFT_S

Frames = NDArray[np.float32]


class AugmentConfig(BaseModel):
    """Augmentation of training utterances."""

    model_config = ConfigDict(extra="forbid")

    speed_factors: tuple[float, ...] = Field((0.9, 1.0, 1.1), description="one is drawn every time")
    max_tempo_change: float = Field(
        0.0, ge=0, lt=0.5, description="most that it is faster or slower, at the same pitch"
    )
    max_freq_warp: float = Field(
        0.0, ge=0, lt=0.5, description="longest stretch of the frequency axis"
    )
    reverb_prob: float = Field(
        0.0, ge=0, le=1, description="share of utterances with reverberation"
    )
    rt60_s: tuple[float, float] = Field((0.2, 0.8), description="until an echo is 60 dB down")
    drr_db: tuple[float, float] = Field((-3.0, 12.0), description="direct sound over echoes")
    noise_prob: float = Field(0.25, ge=0, le=1, description="share of utterances with noise")
    snr_db: tuple[float, float] = (5.0, 25.0)
    gain_db: tuple[float, float] = (-10.0, 5.0)
    max_time_shift: int = Field(0, ge=0, description="frames of silence before, at most")
    spec_subs_per_s: float = Field(
        0.0, ge=0, description="moments a second that repeat earlier ones"
    )
    spec_sub_width: int = Field(30, ge=1, description="frames, at most")
    freq_masks: int = Field(2, ge=0, description="masked bands")
    freq_mask_width: int = Field(18, ge=0, description="bins, at most")
    time_masks_per_s: float = Field(1.0, ge=0, description="masked moments a second")
    time_mask_width: int = Field(12, ge=0, description="frames, at most")


def add_noise(frames: Frames, noise: Frames, snr_db: float) -> Frames:
    """Add ``noise`` [m, 80], repeated as needed, at a signal-to-noise ratio.

    Mel energies of independent sounds add up, so no waveform is needed.
    """
    repeated = np.resize(noise, frames.shape)
    signal, disturbance = np.exp(frames).mean(), np.exp(noise).mean()
    gain = np.log(signal / disturbance) - snr_db * np.log(10) / 10
    noisy: Frames = np.logaddexp(frames, repeated + gain).astype(np.float32)
    return noisy


def reverberate(frames: Frames, rt60_s: float, direct_db: float) -> Frames:
    """Add reverberation: decaying energy, in sum ``direct_db`` below the direct sound.

    Echoes have random phases, so their energies add up and no waveform is needed.
    """
    decay = 10 ** (-6 * FRAME_SHIFT_S / rt60_s)
    echoes = (1 - decay) * 10 ** (-direct_db / 10)
    energies = np.exp(frames)
    late = lfilter([0.0, echoes], [1.0, -decay], energies, axis=0)
    echoed: Frames = np.log(energies + late).astype(np.float32)
    return echoed


def warp(frames: Frames, stretch: float) -> Frames:
    """Vocal tract length perturbation: stretch the frequency axis."""
    bins = frames.shape[1]
    wanted = np.clip(np.arange(bins) * (1 + stretch), 0, bins - 1)
    below = np.minimum(wanted.astype(int), bins - 2)
    share = (wanted - below).astype(np.float32)
    warped: Frames = frames[:, below] * (1 - share) + frames[:, below + 1] * share
    return warped


def pace(frames: Frames, tempo: float) -> Frames:
    """Change the tempo by interpolation between frames; at least one frame remains."""
    at = np.arange(0, len(frames) - 1e-6, tempo)
    below = np.minimum(at.astype(int), max(0, len(frames) - 2))
    share = np.minimum(at - below, 1).astype(np.float32)[:, None]
    paced: Frames = (
        frames[below] * (1 - share) + frames[np.minimum(below + 1, len(frames) - 1)] * share
    )
    return paced


def delay(frames: Frames, silence: int) -> Frames:
    """Prepend frames of silence: on the device, chunks start anywhere in the speech."""
    return np.concatenate([np.full((silence, frames.shape[1]), FLOOR, np.float32), frames])


def substitute(frames: Frames, moments: int, longest: int, generator: Generator) -> Frames:
    """SpecSub (Zhou et al., 2022, U2++): replace stretches with copies of slightly earlier ones."""
    found: Frames = frames.copy()
    for _ in range(moments):
        length = int(generator.integers(1, longest + 1))
        if len(frames) > length:
            at = int(generator.integers(1, len(frames) - length + 1))
            back = int(generator.integers(1, min(at, longest) + 1))
            found[at : at + length] = frames[at - back : at - back + length]
    return found


def gain(frames: Frames, decibel: float) -> Frames:
    """Change the level."""
    louder: Frames = frames + np.float32(decibel * np.log(10) / 10)
    return louder


def mask(frames: Frames, fill: Frames, config: AugmentConfig, generator: Generator) -> Frames:
    """SpecAugment (Park et al., 2019): set bands and stretches of time to ``fill`` [80]."""
    frames = frames.copy()
    count, bins = frames.shape
    for _ in range(config.freq_masks):
        width = generator.integers(0, config.freq_mask_width + 1)
        first = generator.integers(0, bins - width + 1)
        frames[:, first : first + width] = fill[first : first + width]
    for _ in range(generator.poisson(config.time_masks_per_s * count / 100)):
        first = generator.integers(0, count)
        frames[first : first + generator.integers(0, config.time_mask_width + 1)] = fill
    return frames
