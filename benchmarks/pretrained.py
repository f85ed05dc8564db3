"""Effect of each change to a pretrained encoder on its outputs, before any training.

    python benchmarks/pretrained.py CONFIG.yaml DATA

On every 25th utterance of dev: the root of the squared difference to the original's last hidden
states, relative to their spread.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, log_mel
from mera_train import audio, configuration
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance, location
from mera_train.asr.data import speech
from mera_train.asr.networks import build
from mera_train.asr.pretrained import PretrainedConfig, fill, fit, whisper_log_mel
from mera_train.asr.whisper import Whisper

CHANGES = {
    "the device's features": (True, False),
    "chunks": (False, True),
    "both": (True, True),
}


def hidden(model: Whisper, frames: Tensor, chunks: bool) -> Tensor:
    """Return the last hidden states, 50 a second."""
    x = model.stem(frames[None])
    x = x + model.positions(torch.arange(x.shape[1]))
    chunk, left = (2 * model.config.chunk_size, model.config.left) if chunks else (x.shape[1], 0)
    for block in model.blocks:
        x = block(x, chunk, left)
    return model.norm(x)


def network(config: Config, mean: Tensor, inverse_std: Tensor) -> tuple[Whisper, PretrainedConfig]:
    model = build(config.model, mean, inverse_std, 2).eval()
    if not isinstance(model, Whisper) or config.pretrained is None:
        raise InputError("there is nothing pretrained", "give a configuration with `pretrained`")
    return model, config.pretrained


def main() -> None:
    path, data = map(Path, sys.argv[1:])
    config = configuration.read(path, Config)
    utterances = speech(data, config.corpora)

    def heard(utterance: Utterance) -> np.ndarray:
        return audio.read(location(data, utterance.corpus), utterance.file)

    some = [u for u in utterances if u.split == "train"][::30]
    frames = np.concatenate([log_mel(heard(u)) for u in some])
    mean, std = (torch.from_numpy(each) for each in (frames.mean(0), frames.std(0)))
    ours, weights = network(config, mean, 1 / std)
    theirs, _ = network(config, torch.zeros(BINS), torch.ones(BINS))
    fill(ours, weights, fit(ours, map(heard, some)))
    fill(theirs, weights, (torch.eye(BINS), torch.zeros(BINS)))
    missed, spread = dict.fromkeys(CHANGES, 0.0), 0.0
    for utterance in [u for u in utterances if u.split == "dev"][::25]:
        samples = heard(utterance)
        original = torch.from_numpy(whisper_log_mel(samples)).float()
        frames = ours.normalise(torch.from_numpy(log_mel(samples)[: len(original)]))
        with torch.inference_mode():
            expected = hidden(theirs, original, False)
            spread += float((expected - expected.mean((0, 1))).square().sum())
            for name, (device, chunks) in CHANGES.items():
                model, read = (ours, frames) if device else (theirs, original)
                found = hidden(model, read, chunks)
                missed[name] += float((found - expected).square().sum())
    for name, value in missed.items():
        print(f"{name}: {(value / spread) ** 0.5:.2f}")


if __name__ == "__main__":
    main()
