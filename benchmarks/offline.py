"""What waiting is worth: a checkpoint's recognizer, greedy, in chunks of several lengths.

    python benchmarks/offline.py CHECKPOINT TEST.csv

TEST.csv has ``file,text``. In training's network and in full precision; the left context is as many
chunks as on the device.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from mera_edge.asr.decode import Greedy
from mera_edge.features.fbank import BINS, FLOOR, log_mel
from mera_train import audio, checkpoint
from mera_train.asr.config import Config
from mera_train.asr.corpora import location, read
from mera_train.asr.language_model import errors
from mera_train.asr.networks import build

CHUNKS = {"as one": 100_000, "1.28 s": 16, "0.64 s": 8}
"""In encoder frames of 80 ms."""


def main() -> None:
    directory, manifest = map(Path, sys.argv[1:])
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    model = loaded.fill(
        build(config.model, torch.zeros(BINS), torch.ones(BINS), len(config.symbols))
    )
    silence = np.full((20 + config.model.right_context, BINS), FLOOR, np.float32)
    utterances = read(manifest.parent, str(manifest))
    heard: dict[str, list[np.ndarray]] = {name: [] for name in CHUNKS}
    for utterance in utterances:
        samples = audio.read(location(manifest.parent, utterance.corpus), utterance.file)
        frames = torch.from_numpy(np.concatenate([log_mel(samples), silence]))[None]
        for name, chunk in CHUNKS.items():
            with torch.inference_mode():
                scores = model((frames - model.mean) * model.inverse_std, chunk)[0]
            heard[name].append(scores[0].log_softmax(-1).numpy())
    said = [utterance.text for utterance in utterances]
    print("| chunk | word error rate, % |\n| --- | --- |")
    for name, rows in heard.items():
        print(f"| {name} | {100 * errors(said, rows, Greedy(), config.symbols):.1f} |")


if __name__ == "__main__":
    main()
