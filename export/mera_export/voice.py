"""The voice encoder as one ONNX file that takes a chunk and its memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mera_edge.bundle import RoleEntry
from mera_edge.bundle.manifest import FileEntry
from mera_edge.features.fbank import BINS, SPEC
from mera_export.onnx import Prepared, to_onnx
from mera_train import checkpoint
from mera_train.checkpoint import Checkpoint
from mera_train.voice.config import Config
from mera_train.voice.data import LABELS
from mera_train.voice.model import VoiceEncoder

ANSWERS = ("probabilities", "valence", "embedding")
UNITS = {
    "frames": "log-mel",
    "probabilities": "share",
    "valence": "-1 to 1",
    "cache_loudest": "log-mel",
}


class Streaming(nn.Module):
    """One chunk at a time: caches in, answers and caches out."""

    def __init__(self, model: VoiceEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        scores, valence, embedding, after = self.model(frames, caches)
        return scores[:, 0].softmax(1), valence, embedding[:, 0], *after


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the encoder of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint does not fit itself.
    """
    config = loaded.settings(Config)
    model = loaded.fill(
        VoiceEncoder(config.model, torch.zeros(BINS), torch.ones(BINS), len(LABELS))
    )
    outputs = (*ANSWERS, *(f"next_cache_{name}" for name in model.cache_names))
    return Prepared(model, Streaming(model), example(model), outputs)


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``voice.onnx`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    config = loaded.settings(Config)
    path = out / "voice.onnx"
    exported = to_onnx(prepare(loaded), path, {"labels": " ".join(LABELS)}, UNITS)
    return RoleEntry(
        files={"model": FileEntry.of(path)},
        precision="fp32",
        inputs=exported.inputs,
        outputs=exported.outputs,
        labels=LABELS,
        features=SPEC,
        settings={"chunk_frames": config.model.chunk},
        calibration={"temperature": loaded.metrics["temperature"], "fitted_on": "dev speakers"},
        metrics=loaded.figures,
        licence=loaded.licence,
        card=loaded.card,
    )


def example(model: VoiceEncoder) -> dict[str, Tensor]:
    """Return inputs as they are in the third chunk of a stream."""
    generator = torch.Generator().manual_seed(0)
    caches = model.empty()
    for _ in range(3):
        noise = torch.randn(1, model.config.chunk, BINS, generator=generator)
        frames = model.get_buffer("mean") + noise / model.get_buffer("inverse_std")
        names = [f"cache_{name}" for name in model.cache_names]
        inputs = {"frames": frames, **dict(zip(names, caches, strict=True))}
        with torch.no_grad():
            caches = model(frames, caches)[3]
    return inputs
