"""Synthetic non-speech sounds: the noise corpus has no music, alarms or hum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sawtooth, sosfilt, square

from mera_edge.features.fbank import SAMPLE_RATE

Samples = NDArray[np.float32]

_LEVEL = 0.1


def make(kind: str, seconds: float, generator: Generator) -> Samples:
    """Synthesize a sound (mono, 16 kHz, RMS 0.1).

    Args:
        kind: one of `KINDS`.
        seconds: its length.
        generator: random generator for pitch, timbre and rhythm.
    """
    sound = KINDS[kind](np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE, generator)
    level = np.sqrt(np.mean(sound**2))
    made: Samples = (sound * _LEVEL / max(level, 1e-9)).astype(np.float32)
    return made


Times = NDArray[np.float64]


def _noise(t: Times, generator: Generator) -> Times:
    """White, pink, brown or band-limited noise."""
    white = generator.normal(0, 1, len(t))
    colour = generator.integers(4)
    if colour == 0:
        return white
    if colour < 3:
        coloured: Times = lfilter([1.0], [1.0, -(0.9, 0.997)[colour - 1]], white)
        return coloured
    low = generator.uniform(50, 4000)
    band = butter(2, [low, min(7900, low * generator.uniform(1.2, 4))], "band", fs=SAMPLE_RATE)
    limited: Times = lfilter(*band, white)
    return limited


def _bursts(t: Times, generator: Generator) -> Times:
    """Intermittent noise: wipers, knocking, scratching, keys."""
    rate, width = generator.uniform(0.7, 8), generator.uniform(0.02, 0.7)
    phase = (t * rate + generator.random()) % 1
    fading = np.exp(-phase / width * generator.uniform(1, 6))
    return _noise(t, generator) * np.where(phase < width, fading, 0)


def _hum(t: Times, generator: Generator) -> Times:
    """Mains hum or a motor: harmonics of a constant pitch."""
    pitch = generator.choice([50.0, 60.0, generator.uniform(30, 400)])
    count = int(generator.integers(1, 30))
    weights = generator.exponential(1, count) / np.arange(1, count + 1) ** generator.uniform(0, 2)
    phases = generator.uniform(0, 2 * np.pi, count)
    tones = [
        w * np.sin(2 * np.pi * pitch * (i + 1) * t + p)
        for i, (w, p) in enumerate(zip(weights, phases, strict=True))
    ]
    hum: Times = np.sum(tones, axis=0) + 0.02 * generator.normal(0, 1, len(t))
    return hum


def _wave(t: Times, pitch: float | Times, generator: Generator) -> Times:
    """A tone with a random timbre; ``pitch`` in hertz may vary over time."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch, t.shape)) / SAMPLE_RATE
    shape = generator.integers(4)
    wave: Times
    if shape == 0:
        wave = np.sin(phase)
    elif shape == 1:
        wave = sawtooth(phase, generator.random())
    elif shape == 2:
        wave = square(phase, generator.uniform(0.1, 0.9))
    else:
        wave = np.sin(phase + generator.uniform(0, 6) * np.sin(generator.integers(1, 5) * phase))
    return wave


def _beeps(t: Times, generator: Generator) -> Times:
    """Alarms, telephones, dial tones: switched tones."""
    rate, width = generator.uniform(0.3, 6), generator.uniform(0.1, 1.0)
    on = (t * rate + generator.random()) % 1 < width
    tones = [
        _wave(t, generator.uniform(200, 4000), generator) for _ in range(generator.integers(1, 4))
    ]
    turn = (t * rate).astype(int) % len(tones)
    both = generator.random() < 0.4
    tone = np.sum(tones, axis=0) if both else np.choose(turn, tones)
    return tone * on


def _siren(t: Times, generator: Generator) -> Times:
    """Gliding tones: sirens, whistles, birds, squeaks."""
    centre = np.exp(generator.uniform(np.log(200), np.log(3500)))
    swing = generator.uniform(0.02, 0.6) * np.sin(2 * np.pi * generator.uniform(0.1, 12) * t)
    return _wave(t, centre * 2**swing, generator)


def _music(t: Times, generator: Generator) -> Times:
    """Random mixture of chords, melody and beat, with attack and decay."""
    beat = generator.uniform(0.12, 1.0)
    key, steps = generator.uniform(40, 70), np.array([0, 2, 4, 5, 7, 9, 11, 12])
    turn = (t / beat).astype(int)
    phase = t / beat - turn
    decay = np.exp(-phase * generator.uniform(0, 6)) * np.minimum(1, phase * beat * 100)
    vibrato = 1 + generator.uniform(0, 0.01) * np.sin(2 * np.pi * generator.uniform(4, 7) * t)
    sound = np.zeros_like(t)
    voices = int(generator.integers(1, 5))
    for _ in range(voices):
        notes = key + 12 * generator.integers(0, 3) + generator.choice(steps, turn[-1] + 1)
        slow = generator.integers(1, 5)
        pitch = 440 * 2 ** ((notes[turn // slow] - 69) / 12)
        timbre = int(generator.integers(1 << 30))
        sound += _wave(t, pitch * vibrato, np.random.default_rng(timbre)) * decay / voices
    if generator.random() < 0.5:
        drum = np.exp(-phase * beat * generator.uniform(10, 60))
        sound += generator.uniform(0.1, 1) * drum * _noise(t, generator)
    if generator.random() < 0.5:
        low, high = generator.uniform(50, 400), generator.uniform(1500, 7500)
        sound = sosfilt(butter(2, [low, high], "band", fs=SAMPLE_RATE, output="sos"), sound)
    return sound


def _clicks(t: Times, generator: Generator) -> Times:
    """Single knocks: impulses with a short decay."""
    sparse = generator.random(len(t)) < generator.uniform(1, 15) / SAMPLE_RATE
    impulses = np.where(sparse, generator.normal(0, 1, len(t)), 0)
    pitch, ring = generator.uniform(100, 5000), generator.uniform(0.002, 0.05)
    radius = np.exp(-1 / ring / SAMPLE_RATE)
    turn = 2 * radius * np.cos(2 * np.pi * pitch / SAMPLE_RATE)
    ringing: Times = lfilter([1.0], [1.0, -turn, radius**2], impulses)
    return ringing


KINDS: dict[str, Callable[[Times, Generator], Times]] = {
    "noise": _noise,
    "bursts": _bursts,
    "hum": _hum,
    "beeps": _beeps,
    "siren": _siren,
    "music": _music,
    "clicks": _clicks,
}
