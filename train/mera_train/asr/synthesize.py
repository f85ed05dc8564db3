"""Synthetic speech: everyday sentences read by espeak-ng and flite, as one more corpus.

    python -m mera_train.asr.synthesize DATA DATA/synthetic.zip 20000

Debian: ``apt install espeak-ng flite``. The same arguments give the same sentences, voices and
speeds. The sentences are of the English training splits of ``text.zip``; none of them is held out
anywhere in DATA.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_train import audio
from mera_train.asr.data import speech
from mera_train.text.data import ENGLISH, sentences

WORDS = range(3, 15)
"""Of a sentence that is read."""

_ACCENTS = ("en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029")
_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
_FLITE = ("slt", "rms", "awb", "kal16")
_FLITE_SHARE = 0.5
_SPOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Reading:
    """One sentence as one voice reads it."""

    text: str
    engine: str
    voice: str
    speed: float
    """1 is the engine's own."""
    pitch: int
    """espeak-ng's, 50 is the voice's own."""

    def command(self, out: Path) -> list[str]:
        """Return the program that writes a WAV file."""
        if self.engine == "flite":
            stretch = f"duration_stretch={1 / self.speed:.3f}"
            return [
                "flite",
                "-voice",
                self.voice,
                "--setf",
                stretch,
                "-t",
                self.text,
                "-o",
                str(out),
            ]
        speed, pitch = str(round(160 * self.speed)), str(self.pitch)
        return ["espeak-ng", "-v", self.voice, "-s", speed, "-p", pitch, "-w", str(out), self.text]


def everyday(data: Path, words: range) -> list[str]:
    """Return English training sentences of so many words that are spoken as they are written.

    Digits, abbreviations and what the dev and test speakers say are left out.
    """
    held_out = {utterance.text for utterance in speech(data) if utterance.split != "train"}
    found = {}
    for sentence in sentences(data):
        if sentence.corpus not in ENGLISH or sentence.split != "train":
            continue
        text = re.sub(r"[’`]", "'", sentence.text.lower())
        text = re.sub(r"[.,;:!?\"()-]+", " ", text)
        spoken = text.split()
        if len(spoken) in words and all(map(_SPOKEN.fullmatch, spoken)):
            found[" ".join(spoken)] = None
    return [text for text in found if text not in held_out]


def draw(texts: Sequence[str], count: int, seed: int) -> list[Reading]:
    """Choose ``count`` sentences, and who reads each how."""
    random = np.random.default_rng(seed)
    readings = []
    for index in random.permutation(len(texts))[:count]:
        speed, pitch = float(random.uniform(0.8, 1.2)), int(random.integers(25, 76))
        if random.random() < _FLITE_SHARE:
            engine, voice = "flite", str(random.choice(_FLITE))
        else:
            engine, voice = "espeak-ng", f"{random.choice(_ACCENTS)}+{random.choice(_VARIANTS)}"
        readings.append(Reading(texts[index], engine, voice, speed, pitch))
    return readings


def read(reading: Reading) -> bytes:
    """Return the sound, 16 kHz mono, as FLAC.

    Raises:
        InputError: the engine failed.
    """
    import soundfile

    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "read.wav"
        command = reading.command(wav)
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise InputError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
        samples = audio.read(Path(scratch), wav.name)
    loudest = float(np.abs(samples).max(initial=1e-3))
    packed = io.BytesIO()
    soundfile.write(packed, 0.5 * samples / loudest, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return packed.getvalue()


def synthesize(data: Path, out: Path, count: int, seed: int = 0) -> None:
    """Write a corpus of ``count`` readings; it appears whole or not at all.

    Raises:
        InputError: an engine is missing or failed.
    """
    for engine in ("espeak-ng", "flite"):
        if shutil.which(engine) is None:
            raise InputError(f"{engine} is not installed", f"apt install {engine}")
    readings = draw(everyday(data, WORDS), count, seed)
    table = io.StringIO()
    manifest = csv.writer(table)
    manifest.writerow(["file", "text", "speaker"])
    scratch = out.with_name(f".{out.name}.new")
    # The engines are processes of their own: threads only wait for them.
    with ThreadPoolExecutor() as pool, zipfile.ZipFile(scratch, "w") as archive:
        for number, (reading, sound) in enumerate(
            zip(readings, pool.map(read, readings), strict=True)
        ):
            file = f"{number // 1000:03d}/{number:06d}.flac"
            archive.writestr(file, sound)
            manifest.writerow([file, reading.text, f"{reading.engine} {reading.voice}"])
        archive.writestr("manifest.csv", table.getvalue())
    scratch.replace(out)


if __name__ == "__main__":
    synthesize(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
