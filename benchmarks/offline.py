"""Accuracy of a recognizer checkpoint by chunk size, with greedy search.

    python benchmarks/offline.py CHECKPOINT TEST.csv

TEST.csv has ``file,text``. In training's network and in full precision; the left context is as many
chunks as on the device.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mera_edge.asr.decoding.ctc import Greedy
from mera_train import checkpoint
from mera_train.asr.config import Config
from mera_train.asr.corpora import read
from mera_train.asr.language_model import compute_posteriors, errors

CHUNKS = {"as one": 100_000, "1.28 s": 128, "0.64 s": 64}
"""In frames of 10 ms."""


def main() -> None:
    directory, manifest = map(Path, sys.argv[1:])
    loaded = checkpoint.load(directory)
    utterances = read(manifest.parent, str(manifest))
    said, config = [utterance.text for utterance in utterances], loaded.settings(Config)
    print("| chunk | word error rate, % |\n| --- | --- |")
    for name, frames in CHUNKS.items():
        chunk = frames // config.model.subsampling_factor
        units = [
            each.units for each in compute_posteriors(loaded, manifest.parent, utterances, chunk)
        ]
        print(f"| {name} | {100 * errors(said, units, Greedy(), config.symbols):.1f} |", flush=True)


if __name__ == "__main__":
    main()
