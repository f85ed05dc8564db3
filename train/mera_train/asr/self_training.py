"""Self-training: untranscribed recordings with transcripts from a recognizer.

    mera-edge corpus transcribe BUNDLE OUT.zip SHARE FILE ...

The most confident SHARE of the recordings becomes a corpus for ``synthetic_corpus`` in a training
configuration: like synthetic speech it is never part of dev or test.
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
    """Transcribe ``files`` with the recognizer of a bundle."""
    recognizer, heard = Recognizer(Bundle.open(bundle)), []
    for file in files:
        samples = audio.read(file.parent, file.name)
        recognizer.accept(AudioBlock(log_mel(samples), len(samples) / SAMPLE_RATE))
        recognizer.flush()
        # `alternatives` cannot be pickled.
        heard.append((file, replace(finalized(recognizer), alternatives=None)))
        recognizer.reset()
    return heard


def label(bundle: Path, out: Path, share: float, files: Sequence[Path]) -> None:
    """Write a corpus of the most confident ``share`` of ``files``, atomically.

    Raises:
        InputError: nothing was recognized in any of them.
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
    print(f"{len(kept)} of {len(files)} recordings kept, lowest confidence {least:.2f}")
