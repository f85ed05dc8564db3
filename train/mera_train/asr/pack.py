"""Packs a corpus into one archive, as training reads it from ``--data``.

    mera-edge corpus pack CORPUS OUT.zip [SPEAKER ...]

CORPUS is a manifest or a directory (`mera_train.asr.corpora.read`); with SPEAKER, only those.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Collection
from pathlib import Path

import soundfile

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_train import audio
from mera_train.asr.corpora import location, read


def pack(corpus: str, out: Path, speakers: Collection[str] = ()) -> None:
    """Write FLAC at 16 kHz and ``manifest.csv`` as one archive, atomically.

    Raises:
        InputError: the corpus is unreadable, or has none of these speakers.
    """
    rows = [u for u in read(out.parent, corpus) if not speakers or u.speaker in speakers]
    if not rows:
        raise InputError(
            f"{corpus} has none of the speakers {', '.join(speakers)}",
            "name speakers of this corpus",
        )
    table, scratch = io.StringIO(), out.with_name(f".{out.name}.new")
    manifest = csv.writer(table)
    manifest.writerow(["file", "split", "speaker", "text"])
    with zipfile.ZipFile(scratch, "w") as archive:
        for row in rows:
            samples, sound = audio.read(location(out.parent, row.corpus), row.file), io.BytesIO()
            soundfile.write(sound, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            file = str(Path(row.file).with_suffix(".flac"))
            archive.writestr(file, sound.getvalue())
            # The dev speakers are chosen when the archive is read.
            split = "test" if row.split == "test" else "train"
            manifest.writerow([file, split, row.speaker, row.text])
        archive.writestr("manifest.csv", table.getvalue())
    scratch.replace(out)
