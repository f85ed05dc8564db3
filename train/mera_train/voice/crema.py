"""CREMA-D, rebuilt from images of its spectrograms if the recordings are not available.

    git clone https://github.com/Preslavva/EmoReco && git -C EmoReco checkout f50ae5c
    mera-edge corpus rebuild-crema EmoReco DATA/crema_d.zip

CREMA-D (Cao et al., 2014; Open Database License): 91 actors say twelve sentences in six emotions.
The images are log-mel spectrograms of the first 3 s of every recording with a range of 80 dB, in
the colour map *magma*: phase, level and everything more than 80 dB below the peak are lost.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.errors import InputError
from mera_edge.features.face import decode
from mera_edge.features.fbank import SAMPLE_RATE

FFT, HOP, MELS, FRAMES = 1024, 256, 128, 188
"""STFT of the images: window and hop in samples, mel bins, windows in 3 s."""

DEPTH_DB = 80
ITERATIONS = 16
"""Iterations of Griffin-Lim."""

LEVEL = 0.05
"""RMS level of every recording."""

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}


def rebuild(repository: Path, out: Path, every: int = 1) -> int:
    """Write the recordings of all images as a corpus with a ``manifest.csv``.

    Args:
        repository: directory with ``crema_d_dataset.csv`` and ``mel_png``.
        out: the ``.zip``.
        every: use only every n-th image; phase retrieval takes about 0.1 s each.

    Returns:
        The number of recordings.

    Raises:
        InputError: ``repository`` has no images.
    """
    import soundfile

    table, pictures = repository / "crema_d_dataset.csv", repository / "mel_png"
    if not table.is_file() or not pictures.is_dir():
        raise InputError(
            f"{repository} has no crema_d_dataset.csv and mel_png", "check out commit f50ae5c"
        )
    with table.open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if _picture(pictures, r).is_file()][::every]
    manifest = io.StringIO()
    writer = csv.writer(manifest, lineterminator="\n")
    writer.writerow(["file", "emotion", "speaker", "sentence"])
    with zipfile.ZipFile(out, "w") as archive:
        for row, samples in zip(rows, _recordings(pictures, rows), strict=True):
            sound = io.BytesIO()
            soundfile.write(sound, samples, SAMPLE_RATE, format="FLAC")
            name = f"{Path(row['file_name']).stem}.flac"
            archive.writestr(name, sound.getvalue())
            writer.writerow([name, EMOTIONS[row["emotion"]], row["actor_id"], row["sentence_id"]])
        archive.writestr("manifest.csv", manifest.getvalue())
    return len(rows)


def _picture(pictures: Path, row: dict[str, str]) -> Path:
    return pictures / Path(row["file_name"]).with_suffix(".png")


def _recordings(pictures: Path, rows: Sequence[dict[str, str]]) -> Iterator[NDArray[np.float32]]:
    generator = torch.Generator().manual_seed(1)
    for start in range(0, len(rows), 64):
        group = rows[start : start + 64]
        paths = [_picture(pictures, row) for row in group]
        mel = np.stack([decibels(decode(path.read_bytes(), str(path))) for path in paths])
        sound = griffin_lim(spectrum(torch.from_numpy(mel)), generator)
        for samples, row in zip(sound, group, strict=True):
            spoken = samples[: min(int(row["num_samples"]), len(samples))]
            yield (
                (spoken * LEVEL / spoken.square().mean().sqrt().clamp_min(1e-6))
                .clamp(-1, 1)
                .numpy()
            )


_LIGHT = np.array([0.114, 0.587, 0.299])
"""Weights of blue, green and red (Rec. 601)."""


def decibels(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Decode a BGR image in *magma*, low bins at the bottom: ``[128, 188]`` from -80 to 0 dB."""
    height, width = picture.shape[:2]
    rows = height - 1 - ((np.arange(MELS) + 0.5) * height / MELS).astype(int)
    columns = ((np.arange(FRAMES) + 0.5) * width / FRAMES).astype(int)
    # The lightness of magma is linear, so it gives the value of a cell.
    lightness = picture[np.ix_(rows, columns)] @ _LIGHT
    scale = np.arange(256, dtype=np.uint8)
    colours = cv2.applyColorMap(scale, cv2.COLORMAP_MAGMA)[:, 0] @ _LIGHT
    levels = np.interp(lightness, colours, scale) / 255 * DEPTH_DB - DEPTH_DB
    return np.asarray(levels, np.float32)


def spectrum(mel_db: Tensor) -> Tensor:
    """Return amplitudes ``[B, 513, n]`` of mel powers in decibels ``[B, 128, n]``.

    The power of a frequency is the mean of the bins that cover it, weighted by their filters.
    """
    filters = mel_filters()
    spread = filters / filters.sum(0).clamp_min(1e-12)
    power = 10 ** (mel_db / 10) / filters.sum(1)[:, None]
    quiet = 10 ** (-DEPTH_DB / 10) / filters.sum(1)[:, None]
    return (spread.T @ (power - quiet).clamp_min(0)).sqrt()


def mel_filters() -> Tensor:
    """Return triangular filters of equal area ``[128, 513]`` on Slaney's scale.

    Linear up to 1 kHz, 15 mel for 1 kHz; above, 27 mel for a factor of 6.4 (Slaney, Auditory
    Toolbox, 1998).
    """
    step = np.log(6.4) / 27

    def hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (mel - 15)))

    top = 15 + np.log(SAMPLE_RATE / 2 / 1000) / step
    edges = hertz(np.linspace(0, top, MELS + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    triangles = np.minimum(rising, falling).clip(0) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(triangles.astype(np.float32))


def griffin_lim(amplitudes: Tensor, generator: torch.Generator) -> Tensor:
    """Return sound ``[B, samples]`` with about these amplitudes ``[B, 513, n]``.

    Griffin and Lim (1984), from a random phase.
    """
    window = torch.hann_window(FFT)
    phase = torch.rand(amplitudes.shape, generator=generator) * 2 * torch.pi
    found = torch.polar(amplitudes, phase)
    for _ in range(ITERATIONS):
        sound = torch.istft(found, FFT, HOP, window=window)
        again = torch.stft(sound, FFT, HOP, window=window, return_complex=True)
        found = torch.polar(amplitudes, again.angle())
    return torch.istft(found, FFT, HOP, window=window)
