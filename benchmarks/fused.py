"""The fused answer of bundles on composed test examples, as the fusion's card reports it.

python benchmarks/fused.py CHECKPOINT DATA BUNDLE...
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from mera_edge.bundle import Bundle
from mera_train import checkpoint
from mera_train.fusion.compose import CLEAN, Composition, compose
from mera_train.fusion.evidence import collect
from mera_train.fusion.model import Mtme
from mera_train.fusion.train import Config, compare


def main() -> None:
    directory, data, *bundles = map(Path, sys.argv[1:])
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    mixed: Composition = config.composition.model_copy(update={"examples": 4200})
    print("| bundle | clean: fused macro-F1 | best single | disturbed: fused | best single |")
    print("| --- | --- | --- | --- | --- |")
    for path in bundles:
        with tempfile.TemporaryDirectory() as scratch:
            pools = collect(Bundle.open(path), data, "test", Path(scratch) / "evidence")
        widths = {name: pool.embeddings.shape[1] for name, pool in pools.items()}
        network = loaded.fill(Mtme(config.model, widths))
        cells = []
        for how in (CLEAN.model_copy(update={"examples": 4200}), mixed):
            with torch.inference_mode():
                every = compare(network, compose(pools, how, 7))[0]
            cells += [every["fused"], every["best_single"]]
        print(f"| {path} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
