"""The face detector as ONNX."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mera_edge.bundle import RoleEntry
from mera_edge.features.face import DETECTOR_SPEC
from mera_export.onnx import Prepared, export_model
from mera_train import checkpoint
from mera_train.checkpoint import Checkpoint
from mera_train.face_detector.model import FaceDetectorNet
from mera_train.face_detector.train import Config

HEIGHT, WIDTH = 256, 320
"""Input size: a 4:3 picture fills it except for a strip of 16 pixels."""

OUTPUTS = ("confidence", "boxes", "landmarks")
UNITS = {
    "picture": "grey level, 0 to 255",
    "confidence": "probability",
    "boxes": "shares of the picture's sides: left, top, right, lower edge",
    "landmarks": "the same: x, y of right eye, left eye, nose, right and left corner of the mouth",
}


class DetectorOutputs(nn.Module):
    """The detector with probabilities, and coordinates relative to the size of the picture."""

    def __init__(self, model: FaceDetectorNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs of the exported model from its inputs."""
        logits, boxes, landmarks = self.model(picture)
        sides = torch.tensor([picture.shape[3], picture.shape[2]], dtype=torch.float32)
        return torch.sigmoid(logits), boxes / sides.repeat(2), landmarks / sides.repeat(5)


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the detector of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint is inconsistent.
    """
    model = loaded.fill(FaceDetectorNet(loaded.settings(Config).model))
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand((1, 1, HEIGHT, WIDTH), generator=generator) * 255
    return Prepared(model, DetectorOutputs(model), {"picture": picture}, OUTPUTS)


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``face_detector.onnx`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    path = out / "face_detector.onnx"
    return export_model(loaded, prepare(loaded), path, units=UNITS, features=DETECTOR_SPEC)
