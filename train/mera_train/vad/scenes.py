"""Training scenes: speech and noise at random levels, with reverberation, equalisation and pauses.

The energies of independent sounds add up, so scenes are composed from log-mel frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mera_edge.features.fbank import BINS, FLOOR
from mera_train.asr import augment
from mera_train.vad.data import Material, Recording
from mera_train.voice.augment import equaliser

Scene = tuple[NDArray[np.float32], NDArray[np.float32]]

_NATS = np.log(10) / 10
_FULL_SCALE = 19.0
"""Approximate log-mel energy of a full-scale sine in a bin; only differences matter here."""


class SceneConfig(BaseModel):
    """Parameters of training scenes."""

    model_config = ConfigDict(extra="forbid")

    frames: int = Field(640, ge=64, multiple_of=4, description="of a scene")
    speech_prob: float = Field(
        0.65, ge=0, le=1, description="share of scenes in which somebody speaks"
    )
    noise_prob: float = Field(0.85, ge=0, le=1, description="share of those with noise")
    snr_db: tuple[float, float] = (-5.0, 30.0)
    gain_db: tuple[float, float] = (-40.0, 40.0)
    noise_floor_db: tuple[float, float] = Field((-100.0, -60.0), description="of the microphone")
    reverb_prob: float = Field(0.4, ge=0, le=1, description="share of scenes with reverberation")
    rt60_s: tuple[float, float] = (0.15, 0.8)
    drr_db: tuple[float, float] = (-3.0, 12.0)
    eq_std_db: float = Field(4.0, ge=0, description="deviation of a random smooth equaliser")
    max_freq_warp: float = Field(
        0.1, ge=0, lt=0.5, description="longest stretch of the frequency axis"
    )


class Scenes:
    """Composes random scenes from recordings."""

    def __init__(
        self,
        material: Material,
        speech: Sequence[Recording],
        noise: Sequence[Recording],
        config: SceneConfig,
    ) -> None:
        self._material, self._config = material, config
        self._speech = _by_corpus(speech)
        self._noise = _by_corpus(noise)

    def draw(self, generator: Generator) -> Scene:
        """Return log-mel frames ``[frames, 80]`` and the probability of speech ``[frames]``."""
        config = self._config
        if generator.random() < config.speech_prob:
            frames, targets = self._spoken(generator)
            if generator.random() < config.noise_prob:
                noise = self._background(generator)
                spoken = targets > 0.5
                voice = np.exp(frames[spoken]).mean() if spoken.any() else 1.0
                bed = np.exp(noise).mean()
                gain = np.log(voice / bed) - generator.uniform(*config.snr_db) * _NATS
                frames = np.logaddexp(frames, noise + np.float32(gain))
        else:
            frames, targets = self._background(generator), np.zeros(config.frames, np.float32)
        frames = frames + equaliser(BINS, config.eq_std_db, generator)
        frames = augment.gain(frames, generator.uniform(*config.gain_db))
        hiss = _FULL_SCALE + generator.uniform(*config.noise_floor_db) * _NATS
        # Microphone hiss: mel bins that average fewer FFT bins have a larger variance.
        scatter = np.log(generator.chisquare(np.linspace(4, 20, BINS), frames.shape) + 1e-3)
        scatter -= np.log(np.linspace(4, 20, BINS))
        return np.logaddexp(frames, hiss + scatter).astype(np.float32), targets

    def _spoken(self, generator: Generator) -> Scene:
        """Return one or two speakers, each after a pause."""
        config = self._config
        parts, opinions = [], []
        for _ in range(2):
            pause = int(generator.integers(0, 250))
            recording = _any(self._speech, generator)
            frames = self._material.frames(recording)
            start = int(generator.integers(max(1, len(frames) - 200)))
            stop = start + int(generator.integers(100, 500))
            frames = augment.gain(frames[start:stop], generator.uniform(-10, 10))
            frames = augment.warp(
                frames, generator.uniform(-config.max_freq_warp, config.max_freq_warp)
            )
            parts += [np.full((pause, BINS), FLOOR, np.float32), frames]
            opinions += [
                np.zeros(pause, np.float32),
                self._material.targets(recording)[start:stop],
            ]
        frames = _fit(np.concatenate(parts), config.frames, FLOOR)
        if generator.random() < config.reverb_prob:
            room = generator.uniform(*config.rt60_s), generator.uniform(*config.drr_db)
            frames = augment.reverberate(frames, *room)
        return frames, _fit(np.concatenate(opinions), config.frames, 0.0)

    def _background(self, generator: Generator) -> NDArray[np.float32]:
        """Return one or two noises, continuous or switched on and off."""
        found = np.full((self._config.frames, BINS), FLOOR, np.float32)
        for _ in range(generator.integers(1, 3)):
            frames = self._material.frames(_any(self._noise, generator))
            frames = np.resize(np.roll(frames, generator.integers(len(frames)), 0), found.shape)
            frames = augment.warp(frames, generator.uniform(-0.2, 0.2))
            frames = augment.gain(frames, generator.uniform(-15, 15))
            if generator.random() < 0.3:
                frames[: generator.integers(self._config.frames)] = FLOOR
            found = np.logaddexp(found, frames)
        return found


def _by_corpus(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Group recordings, so that all corpora and kinds are equally frequent."""
    groups: dict[str, list[Recording]] = {}
    for recording in recordings:
        groups.setdefault(recording.corpus, []).append(recording)
    return list(groups.values())


def _any(groups: Sequence[Sequence[Recording]], generator: Generator) -> Recording:
    group = groups[int(generator.integers(len(groups)))]
    return group[int(generator.integers(len(group)))]


def _fit(values: NDArray[np.float32], length: int, fill: float) -> NDArray[np.float32]:
    """Cut or pad at the end."""
    missing = max(0, length - len(values))
    rest = np.full((missing, *values.shape[1:]), fill, np.float32)
    return np.concatenate([values, rest])[:length]
