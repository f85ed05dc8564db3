"""A recognizer on its dev recordings, measured again."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mera_edge.features.fbank import BINS
from mera_train.asr.alignment import Alignment
from mera_train.asr.config import Config
from mera_train.asr.corpora import location
from mera_train.asr.data import prepare, speech
from mera_train.asr.networks import build
from mera_train.asr.task import RecognitionTask, rates
from mera_train.asr.units import Units
from mera_train.checkpoint import Checkpoint
from mera_train.fingerprint import Digests
from mera_train.run import device


def measured(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    """Return ``dev``: `rates` of the recordings that chose the weights.

    Args:
        loaded: a recognizer.
        data: the directory of its corpora; those that it lacks are left out.
    """
    config = loaded.settings(Config)
    units = Units(config.symbols)
    here = [name for name in config.corpora if location(data, name).exists()]
    if missing := [name for name in config.corpora if name not in here]:
        print(f"Not in {data}, so left out: {', '.join(missing)}", file=sys.stderr)
    dev = [u for u in speech(data, here) if u.split == "dev"]
    with TemporaryDirectory() as scratch:
        digests = Digests(Path(scratch) / "digests.json")
        frames = prepare(data, dev, (1.0,), Path(scratch) / "frames", digests)
        nothing = torch.zeros(BINS), torch.ones(BINS)
        model = loaded.fill(build(config.model, *nothing, len(units.symbols))).to(device()).eval()
        task = RecognitionTask(config, model, units, frames, Alignment({}), dev, [])
        with torch.inference_mode():
            return {"dev": rates(task.decode_dev(model, device())[0])}
