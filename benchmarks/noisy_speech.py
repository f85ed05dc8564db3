"""A test set in noise: every recording of a manifest mixed with a noise, for `evaluate`.

    python benchmarks/noisy_speech.py SPEECH.csv NOISES.csv SNR_DB OUT

SPEECH.csv has ``file,text``; NOISES.csv names noises in a column ``file``, such as the rows of fold
10 of ``urbansound_noise``, which is not used in training. OUT receives FLAC files and ``test.csv``.
Noises are drawn with a fixed seed; the SNR is that of the mean powers of the whole recordings.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile

from mera_edge.features.fbank import SAMPLE_RATE
from mera_train import audio


def main() -> None:
    speech, noises, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[4])
    snr_db, random = float(sys.argv[3]), np.random.default_rng(0)
    with noises.open(encoding="utf-8") as file:
        available = [row["file"] for row in csv.DictReader(file)]
    out.mkdir(parents=True, exist_ok=True)
    with speech.open(encoding="utf-8") as file, (out / "test.csv").open("w") as written:
        table = csv.writer(written)
        table.writerow(["file", "text"])
        for number, row in enumerate(csv.DictReader(file)):
            samples = audio.read(speech.parent, row["file"])
            noise = audio.read(noises.parent, available[random.integers(len(available))])
            noise = np.resize(noise, samples.shape)
            gain = np.sqrt((samples**2).mean() / (noise**2).mean() / 10 ** (snr_db / 10))
            mixed = samples + gain * noise
            mixed /= max(1.0, np.abs(mixed).max())
            soundfile.write(out / f"{number:06d}.flac", mixed, SAMPLE_RATE)
            table.writerow([f"{number:06d}.flac", row["text"]])


if __name__ == "__main__":
    main()
