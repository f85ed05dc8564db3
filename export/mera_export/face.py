"""The face encoder as ONNX."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleEntry
from mera_edge.features.face import SPEC, crop
from mera_export.onnx import Prepared, export_model
from mera_train import checkpoint
from mera_train.checkpoint import Checkpoint
from mera_train.face import data as faces
from mera_train.face.data import LABELS
from mera_train.face.model import FaceNet
from mera_train.face.train import Config

CORPORA = (faces.ARCHIVE,)
"""Corpora for calibration and the gate; see `mera_export.datasets`."""

OUTPUTS = ("probabilities", "valence", "embedding")
UNITS = {"face": "grey level, 0 to 255", "probabilities": "probability", "valence": "-1 to 1"}


class FaceOutputs(nn.Module):
    """The encoder with its temperature, in the shapes of the bundle."""

    def __init__(self, model: FaceNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs of the exported model from its inputs."""
        logits, _, valence, embedding = self.model(face)
        return torch.softmax(logits / self.model.temperature, dim=1), valence, embedding


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the encoder of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint is inconsistent.
    """
    config = loaded.settings(Config)
    model = loaded.fill(FaceNet(config.model))
    generator = torch.Generator().manual_seed(0)
    shape = (1, 1, config.model.crop_size, config.model.crop_size)
    inputs = {"face": torch.rand(shape, generator=generator) * 255}
    return Prepared(model, FaceOutputs(model), inputs, OUTPUTS)


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``face.onnx`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    return export_model(
        loaded,
        prepare(loaded),
        out / "face.onnx",
        metadata={"labels": ",".join(LABELS)},
        units=UNITS,
        labels=LABELS,
        features=SPEC,
        calibration={"temperature": float(loaded.weights["temperature"])},
    )


def dataset(data: Path, bundle: Bundle) -> Dataset:
    """List the examples of `CORPORA` in ``data``."""
    size = bundle.role("face").engine().inputs["face"].shape[-1]
    parts = faces.load(data)

    def examples(split: str) -> list[Example]:
        part = parts[split]
        return [
            Example(name, faces.LABELS[label], "", partial(crop, picture, size))
            for name, picture, label in zip(
                part.names, part.pictures, faces.plurality(part.votes), strict=True
            )
            if label >= 0
        ]

    return Dataset(examples("train"), examples("valid"))
