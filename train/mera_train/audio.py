"""Reading recordings from a directory or a zip, resampled as on the device."""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE, log_mel


def read(corpus: Path, file: str, speed: float = 1.0) -> NDArray[np.float32]:
    """Read a recording as mono at 16 kHz, in [-1, 1].

    Args:
        corpus: a directory or a zip.
        file: path inside the corpus; any format that libsndfile reads.
        speed: playback speed factor, which also changes the pitch.

    Raises:
        InputError: the file is missing or not audio, or a sample is not a finite number.
    """
    import soundfile
    import soxr

    try:
        recording = (
            _archive(corpus).read(file) if corpus.suffix == ".zip" else (corpus / file).read_bytes()
        )
        samples, rate = soundfile.read(io.BytesIO(recording), dtype="float32", always_2d=True)
    except (KeyError, OSError, soundfile.LibsndfileError) as error:
        why = getattr(error, "error_string", error)
        raise InputError(f"{file} of {corpus} cannot be read ({why})", "copy it again") from error
    if not np.isfinite(samples).all():
        raise InputError(
            f"{file} of {corpus} has samples that are not finite numbers", "record it again"
        )
    mono = samples.mean(axis=1)
    if rate * speed != SAMPLE_RATE:
        mono = soxr.resample(mono, rate * speed, SAMPLE_RATE)
    return np.asarray(mono, np.float32)


def log_mel_of(corpus: Path, file: str) -> NDArray[np.float32]:
    """Return the log-mel frames ``[n, 80]`` of a recording; see `read`."""
    return log_mel(read(corpus, file))


@lru_cache
def _archive(path: Path) -> zipfile.ZipFile:
    # Reading the directory of an archive with thousands of files takes longer than one recording.
    return zipfile.ZipFile(path)
