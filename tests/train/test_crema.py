"""Speech comes back out of pictures of its spectrogram."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sample import CLIP
from mera_edge.sources.base import AudioChunk
from mera_edge.sources.media import MediaFile
from mera_train.audio import read
from mera_train.voice import crema
from mera_train.voice.data import Utterance, speech

SECONDS = 2.0


def mel_decibels(samples: np.ndarray) -> np.ndarray:
    window = torch.hann_window(crema.FFT)
    sound = torch.from_numpy(samples)
    found = torch.stft(sound, crema.FFT, crema.HOP, window=window, return_complex=True)
    decibels = 10 * (crema.mel_filters() @ found.abs() ** 2).clamp_min(1e-20).log10()
    return (decibels - decibels.max()).clamp_min(-crema.DEPTH_DB).numpy()


def said() -> AudioChunk:
    media = MediaFile(CLIP, video=False)
    media.open()
    return media.poll(SECONDS).audio[0]


def test_a_recording_comes_back_with_its_spectrum(tmp_path: Path) -> None:
    samples = np.zeros(3 * SAMPLE_RATE, np.float32)
    spoken = said().samples
    samples[: len(spoken)] = spoken
    scale = (mel_decibels(samples) / crema.DEPTH_DB + 1) * 255
    cells = cv2.resize(scale[::-1].round().astype(np.uint8), (600, 600), interpolation=0)
    (tmp_path / "mel_png").mkdir()
    picture = cv2.applyColorMap(cells, cv2.COLORMAP_MAGMA)
    cv2.imwrite(str(tmp_path / "mel_png" / "1001_DFA_ANG_XX.png"), picture)
    row = f"1001_DFA_ANG_XX.wav,1001,DFA,ANG,{len(spoken)}"
    gone = "1001_DFA_SAD_XX.wav,1001,DFA,SAD,48000"
    (tmp_path / "crema_d_dataset.csv").write_text(
        f"file_name,actor_id,sentence_id,emotion,num_samples\n{row}\n{gone}\n"
    )
    out = tmp_path / "crema_d.zip"
    assert crema.rebuild(tmp_path, out) == 1
    name = "1001_DFA_ANG_XX.flac"
    assert speech(tmp_path, "crema_d") == [Utterance("crema_d", name, "angry", "1001")]
    again = read(out, name)
    assert len(again) == len(spoken)
    assert np.sqrt(np.mean(again**2)) == pytest.approx(crema.LEVEL, rel=0.01)
    before, after = mel_decibels(spoken), mel_decibels(again)
    loud = before > -40
    assert np.abs(before - after)[loud].mean() < 3
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == [name, "manifest.csv"]


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mel_png"):
        crema.rebuild(tmp_path, tmp_path / "crema_d.zip")
