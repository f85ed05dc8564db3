"""Self-training: recordings that nobody transcribed, with the texts that a recognizer hears.

    mera-edge corpus transcribe BUNDLE OUT.zip SHARE FILE ...

The SHARE of the recordings that the recognizer of BUNDLE is surest of becomes a corpus for the
``synthetic_corpus`` of a training configuration: like synthetic speech it is in no dev and in no
test.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import soundfile

from mera_edge.asr import Hypothesis, Recognizer, finalized
from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, log_mel
from mera_train import audio, workers


def recognize(bundle: Path, files: Sequence[Path]) -> list[tuple[Path, Hypothesis]]:
    """Return what the recognizer of a bundle hears in each of ``files``."""
    recognizer, heard = Recognizer(Bundle.open(bundle)), []
    for file in files:
        samples = audio.read(file.parent, file.name)
        recognizer.accept(AudioBlock(log_mel(samples), len(samples) / SAMPLE_RATE))
        recognizer.flush()
        # What was weighed cannot be sent to another process.
        heard.append((file, replace(finalized(recognizer), alternatives=None)))
        recognizer.reset()
    return heard


def label(bundle: Path, out: Path, share: float, files: Sequence[Path]) -> None:
    """Write the corpus of the surest ``share`` of ``files``; it appears whole or not at all.

    Raises:
        InputError: none of them can be understood.
    """
    parts = [files[start : start + 32] for start in range(0, len(files), 32)]
    with workers.pool() as pool:
        heard = [each for part in pool.map(partial(recognize, bundle), parts) for each in part]
    heard.sort(key=lambda each: -each[1].confidence)
    kept = [each for each in heard if each[1].text][: round(share * len(files))]
    if not kept:
        raise InputError("nothing was recognized", "give recordings of speech, or a larger share")
    table, scratch = io.StringIO(), out.with_name(f".{out.name}.new")
    manifest = csv.writer(table)
    manifest.writerow(["file", "text", "speaker", "confidence"])
    with zipfile.ZipFile(scratch, "w") as archive:
        for number, (file, guess) in enumerate(kept):
            samples, sound = audio.read(file.parent, file.name), io.BytesIO()
            soundfile.write(sound, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            archive.writestr(f"{number:06d}.flac", sound.getvalue())
            manifest.writerow([f"{number:06d}.flac", guess.text, "", f"{guess.confidence:.3f}"])
        archive.writestr("manifest.csv", table.getvalue())
    scratch.replace(out)
    least = kept[-1][1].confidence
    print(f"{len(kept)} of {len(files)} recordings kept, the least sure {least:.2f}")
