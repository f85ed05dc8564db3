"""Simulated rooms and overdriven inputs."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE


def echo(samples: NDArray[np.float32], generator: Generator) -> NDArray[np.float32]:
    """Put a dry recording into a room drawn at random; length and level are kept.

    The response is the direct sound and noise that decays exponentially (Polack's model of late
    reverberation), with 0.15 to 0.7 s to fall by 60 dB and 0 to 12 dB less energy than the
    direct sound.
    """
    seconds = generator.uniform(0.15, 0.7)
    length = int(seconds * SAMPLE_RATE)
    tail = generator.normal(0, 1, length) * 10 ** (-3 * np.arange(length) / length)
    tail[0] = 0
    ratio_db = generator.uniform(0, 12)
    response = tail * np.sqrt(10 ** (-ratio_db / 10) / np.sum(tail**2))
    response[0] = 1
    size = 1 << int(np.ceil(np.log2(len(samples) + length)))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    wet = np.fft.irfft(spectrum, size)[: len(samples)]
    level = np.sqrt(np.mean(samples**2) / max(np.mean(wet**2), 1e-12))
    echoed: NDArray[np.float32] = (wet * level).astype(np.float32)
    return echoed


def clip(samples: NDArray[np.float32], generator: Generator) -> NDArray[np.float32]:
    """Cut off what is above a limit drawn at random, 6 to 26 dB below the loudest sample."""
    limit = np.abs(samples).max() * 10 ** (-generator.uniform(6, 26) / 20)
    return np.clip(samples, -limit, limit)
