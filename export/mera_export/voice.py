"""The voice encoder as one ONNX file, with a chunk and its caches as inputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleEntry
from mera_edge.features.fbank import BINS, SPEC
from mera_edge.labels import to_emotion
from mera_export.onnx import Prepared, export_model
from mera_train import audio, checkpoint
from mera_train.checkpoint import Checkpoint
from mera_train.voice import data as corpora
from mera_train.voice.config import Config
from mera_train.voice.data import LABELS
from mera_train.voice.ensemble import blank
from mera_train.voice.model import Voice

CORPORA = tuple(corpora.DEV_SPEAKERS)
"""Corpora for calibration and the gate; see `mera_export.datasets`."""

OUTPUTS = ("probabilities", "valence", "embedding")
UNITS = {
    "frames": "log-mel",
    "probabilities": "share",
    "valence": "-1 to 1",
    "cache_loudest": "log-mel",
}


class Streaming(nn.Module):
    """One chunk at a time: caches in, outputs and caches out."""

    def __init__(self, model: Voice) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs of the exported model from its inputs."""
        scores, valence, embedding, after = self.model(frames, caches)
        return scores[:, 0].softmax(1), valence, embedding[:, 0], *after


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the encoder of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint is inconsistent.
    """
    config = loaded.settings(Config)
    model = loaded.fill(blank(config.model))
    outputs = (*OUTPUTS, *(f"next_cache_{name}" for name in model.cache_names))
    return Prepared(model, Streaming(model), example(model), outputs)


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``voice.onnx`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    config = loaded.settings(Config)
    return export_model(
        loaded,
        prepare(loaded),
        out / "voice.onnx",
        metadata={"labels": " ".join(LABELS)},
        units=UNITS,
        labels=LABELS,
        features=SPEC,
        settings={"chunk_frames": config.model.chunk_size},
        calibration={"temperature": loaded.metrics["temperature"], "fitted_on": "dev speakers"},
    )


def example(model: Voice) -> dict[str, Tensor]:
    """Return the inputs of the third chunk of a stream."""
    generator = torch.Generator().manual_seed(0)
    caches = model.empty()
    mean, inverse_std = model.spectrum()
    for _ in range(3):
        noise = torch.randn(1, model.config.chunk_size, BINS, generator=generator)
        frames = mean + noise / inverse_std
        names = [f"cache_{name}" for name in model.cache_names]
        inputs = {"frames": frames, **dict(zip(names, caches, strict=True))}
        with torch.no_grad():
            caches = model(frames, caches)[3]
    return inputs


def dataset(data: Path, bundle: Bundle) -> Dataset:
    """List the examples of `CORPORA` in ``data``."""
    train, dev = [], []
    for corpus, chosen in corpora.DEV_SPEAKERS.items():
        tested = corpora.TEST_SPEAKERS.get(corpus, ())
        where = corpora.location(data, corpus)
        for row in corpora.speech(data, corpus):
            example = Example(
                f"{corpus}/{row.file}",
                to_emotion(row.label),
                f"{corpus}/{row.speaker}",
                partial(audio.log_mel_of, where, row.file),
            )
            if row.speaker in chosen:
                dev.append(example)
            elif row.speaker not in tested:
                train.append(example)
    return Dataset(train, dev)
