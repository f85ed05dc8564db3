"""Self-training keeps what the recognizer is surest of, and nothing where it hears nothing."""

import csv
import io
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mera_edge.bundle.load import DEFAULT
from mera_edge.errors import InputError
from mera_edge.sample import CLIP
from mera_train.asr.data import synthetic
from mera_train.asr.self_training import label


def test_recognized_speech_becomes_a_corpus(tmp_path: Path) -> None:
    with av.open(str(CLIP)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        pieces = [
            piece.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    spoken, silent = tmp_path / "spoken.wav", tmp_path / "silent.wav"
    soundfile.write(spoken, np.concatenate(pieces), 16_000)
    soundfile.write(silent, np.zeros(16_000, np.float32), 16_000)
    label(DEFAULT, tmp_path / "heard.zip", 1.0, [silent, spoken])
    with zipfile.ZipFile(tmp_path / "heard.zip") as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))
        samples, rate = soundfile.read(io.BytesIO(archive.read(rows[0]["file"])))
    assert len(rows) == 1 and rate == 16_000
    assert len(samples) == len(np.concatenate(pieces))
    (utterance,) = synthetic(tmp_path, "heard")
    assert utterance.split == "synthetic" and len(utterance.text.split()) > 3
    with pytest.raises(InputError, match="nothing was recognized"):
        label(DEFAULT, tmp_path / "nothing.zip", 1.0, [silent])
    assert not (tmp_path / "nothing.zip").exists()
