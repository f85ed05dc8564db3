"""Simulated reverberation and clipping."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE


def echo(samples: NDArray[np.float32], generator: Generator) -> NDArray[np.float32]:
    """Add random reverberation to a dry recording; length and level are kept.

    The impulse response is the direct sound plus exponentially decaying noise (Polack's model of
    late reverberation), with an RT60 of 0.15 to 0.7 s and 0 to 12 dB below the direct sound.
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
    """Clip at a random limit, 6 to 26 dB below the peak."""
    limit = np.abs(samples).max() * 10 ** (-generator.uniform(6, 26) / 20)
    return np.clip(samples, -limit, limit)
