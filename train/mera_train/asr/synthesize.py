"""A corpus of synthetic speech.

    mera-edge corpus synthesize DATA OUT.zip COUNT [TEXT.txt ...]

Half of the sentences are from the English training splits of ``text.zip`` in DATA, half from the
given texts; none is spoken by a dev or test speaker in DATA. For the required programs see
`mera_train.asr.voices`. The same arguments give the same sentences, voices and speeds.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mera_edge.features.fbank import SAMPLE_RATE
from mera_train import workers
from mera_train.asr.data import speech
from mera_train.asr.texts import book_sentences, choose, everyday
from mera_train.asr.voices import SHARES, VOICES, Reading, read

WORDS = range(3, 21)
"""Number of words of a sentence."""


def draw(sources: Sequence[Sequence[str]], count: int, seed: int) -> list[Reading]:
    """Draw ``count`` sentences, equally many per source, each with a voice, speed and pitch."""
    random = np.random.default_rng(seed)
    engines, shares = list(SHARES), list(SHARES.values())
    orders = [random.permutation(len(texts)) for texts in sources]
    readings = []
    for number in range(count):
        # Round-robin over the sources.
        texts, order = sources[number % len(sources)], orders[number % len(sources)]
        if number // len(sources) >= len(order):
            continue
        index = int(order[number // len(sources)])
        engine = str(random.choice(engines, p=shares))
        voice = str(random.choice(VOICES[engine]))
        speed, pitch = float(random.uniform(0.8, 1.2)), int(random.integers(25, 76))
        readings.append(Reading(texts[index], engine, voice, speed, pitch, index))
    return readings


def packed(reading: Reading) -> bytes:
    """Return the sound as FLAC, with its peak at half of full scale."""
    import soundfile

    samples = read(reading)
    loudest = float(np.abs(samples).max(initial=1e-3))
    out = io.BytesIO()
    soundfile.write(out, 0.5 * samples / loudest, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def synthesize(
    data: Path, out: Path, count: int, texts: Sequence[Path] = (), seed: int = 0
) -> None:
    """Write a corpus of ``count`` synthesized sentences, atomically.

    Raises:
        InputError: a synthesizer is missing or failed, or a text is unreadable.
    """
    held_out = {utterance.text for utterance in speech(data) if utterance.split != "train"}
    sources = [everyday(data), *([book_sentences(texts)] if texts else [])]
    readings = draw([choose(source, WORDS, held_out) for source in sources], count, seed)
    table = io.StringIO()
    manifest = csv.writer(table)
    manifest.writerow(["file", "text", "speaker"])
    scratch = out.with_name(f".{out.name}.new")
    with workers.pool() as pool, zipfile.ZipFile(scratch, "w") as archive:
        sounds = pool.map(packed, readings, chunksize=32)
        for number, (reading, sound) in enumerate(zip(readings, sounds, strict=True)):
            file = f"{number // 1000:03d}/{number:06d}.flac"
            archive.writestr(file, sound)
            manifest.writerow([file, reading.text, f"{reading.engine} {reading.voice}"])
        archive.writestr("manifest.csv", table.getvalue())
    scratch.replace(out)
