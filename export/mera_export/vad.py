"""The speech detector as one ONNX file, with a chunk of 40 ms and its caches as inputs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mera_edge.bundle import RoleEntry
from mera_edge.features.fbank import BINS, SPEC
from mera_export.onnx import Prepared, export_model
from mera_train import checkpoint
from mera_train.checkpoint import Checkpoint
from mera_train.vad.model import CHUNK, Detector
from mera_train.vad.train import Config

UNITS = {"frames": "log-mel", "speech": "probability", "cache_loudest": "log-mel"}


class Streaming(nn.Module):
    """One chunk at a time: caches in, probability and caches out."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs of the exported model from its inputs."""
        scores, after = self.model(frames, caches)
        return scores.sigmoid(), *after


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the detector of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint is inconsistent.
    """
    model = loaded.fill(Detector(loaded.settings(Config).model))
    names = [f"cache_{name}" for name in model.cache_names]
    frames = torch.randn(1, CHUNK, BINS, generator=torch.Generator().manual_seed(0)) * 3 + 8
    with torch.no_grad():
        _, caches = model(frames, model.empty())
    inputs = {"frames": frames, **dict(zip(names, caches, strict=True))}
    return Prepared(model, Streaming(model), inputs, ("speech", *(f"next_{n}" for n in names)))


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``vad.onnx`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    return export_model(
        loaded,
        prepare(loaded),
        out / "vad.onnx",
        units=UNITS,
        features=SPEC,
        settings={"chunk_frames": CHUNK},
    )
