"""Training of the face detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from mera_train import checkpoint, fingerprint, state
from mera_train.checkpoint import UNKNOWN
from mera_train.face_detector.card import card
from mera_train.face_detector.data import SURE, Composer, Labelled, contents, load
from mera_train.face_detector.measure import measure
from mera_train.face_detector.model import STRIDES, FaceDetectorNet, ModelConfig, places
from mera_train.loop import fit
from mera_train.provenance import Licence
from mera_train.task import LoopConfig

SIZES = {8: (0.0, 52.0), 16: (40.0, 112.0), 32: (88.0, 1e4)}
"""Range of face heights in pixels by stride; the ranges overlap."""

_AROUND = 0.28
"""Radius around the centre, in face heights, of positive cells; the nearest cell is always
positive.
"""
_MAY = 0.45
"""Radius of ignored cells."""


class Config(BaseModel):
    """Configuration of ``train face_detector``."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    loop: LoopConfig = LoopConfig(metric_for_best_model="recall", greater_is_better=True)
    manifests: tuple[str, ...] = Field(
        ("portraits.csv", "scenes.csv"),
        description="CSVs of mera_train.face_detector.label, in --data",
    )
    init_checkpoint: Path | None = Field(
        None, description="checkpoint to begin with, of the same shape"
    )
    licence: Licence = UNKNOWN
    scene_size: int = Field(
        256, ge=64, multiple_of=32, description="of the composed scenes, in pixels"
    )
    scenes_per_epoch: int = Field(12_000, ge=1, description="composed scenes an epoch")
    batch_size: int = Field(24, ge=2)
    landmark_loss_weight: float = Field(
        1.0, ge=0, description="weight of the landmarks in the loss"
    )


class FaceDetectionTask:
    """Training task of the face detector."""

    def __init__(
        self, config: Config, model: FaceDetectorNet, pictures: dict[str, list[Labelled]]
    ) -> None:
        # torch declares no matching overload.
        self.model: FaceDetectorNet = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.valid = config, pictures["valid"]
        self.composer = Composer(pictures["train"], config.scene_size)
        self.places = [places(config.scene_size // s, config.scene_size // s, s) for s in STRIDES]

    def plan(self, epoch: int) -> list[int]:
        """Return the seeds of the batches."""
        first = (self.config.loop.seed * 1_000_003 + epoch) * 10_007
        return [
            first + number
            for number in range(self.config.scenes_per_epoch // self.config.batch_size)
        ]

    def load(self, plan: int, epoch: int) -> list[Tensor]:
        """Return pictures ``[B, 1, S, S]``, and for every anchor point: class (1: face, 0:
        background, -1: ignored), box and landmarks.
        """
        rng = np.random.default_rng(plan)
        parts: list[list[Tensor]] = []
        for _ in range(self.config.batch_size):
            pixels, boxes, landmarks, confidence = self.composer.scene(rng)
            targets = self._targets(boxes, landmarks, confidence)
            parts.append([torch.from_numpy(pixels)[None].float(), *targets])
        return [torch.stack(part) for part in zip(*parts, strict=True)]

    def _targets(
        self, boxes: NDArray[Any], landmarks: NDArray[Any], confidence: NDArray[Any]
    ) -> list[Tensor]:
        middle = torch.cat(self.places)
        kind, box = torch.zeros(len(middle)), torch.zeros(len(middle), 4)
        points = torch.zeros(len(middle), 10)
        level = torch.cat(
            [torch.full((len(p),), s) for p, s in zip(self.places, STRIDES, strict=True)]
        )
        # Small faces last, so that they keep their few anchor points inside a large face.
        for i in np.argsort([-(b[3] - b[1]) for b in boxes]):
            face = torch.from_numpy(boxes[i])
            height = float(face[3] - face[1])
            inside = ((middle > face[:2]) & (middle < face[2:])).all(1)
            away = torch.linalg.vector_norm(middle - (face[:2] + face[2:]) / 2, dim=1)
            if confidence[i] < SURE:
                kind[inside & (kind == 0)] = -1
                continue
            for stride, (low, high) in SIZES.items():
                if low <= height < high:
                    here = level == stride
                    # Cells around the positive ones are ignored; those of other levels are
                    # background.
                    kind[here & (away < _MAY * height) & (kind == 0)] = -1
                    near = here & (
                        away <= torch.clamp(away[here].min() + 1e-3, min=_AROUND * height)
                    )
                    kind[near], box[near] = 1, face
                    points[near] = torch.from_numpy(landmarks[i]).reshape(10)
        return [kind, box, points]

    def loss(self, batch: list[Tensor], device: torch.device) -> Tensor:
        """Return the loss per face: quality focal loss of the confidence (Li et al., 2020), twice
        the GIoU loss of the boxes (Rezatofighi et al., 2019), and smooth L1 of the landmarks
        relative to the height of the face. Ignored anchor points (-1) do not count.
        """
        pictures, kind, box, points = (tensor.to(device) for tensor in batch)
        logits, found, marks = self.model(pictures.contiguous(memory_format=torch.channels_last))
        is_face = kind == 1
        shared, generalized = overlaps(found[is_face], box[is_face])
        quality = torch.zeros_like(logits)
        quality[is_face] = shared.detach().clamp(0, 1)
        # Quality focal loss (Li et al., 2020): the target of the confidence is the IoU of the box.
        far = (quality - logits.sigmoid()).abs() ** 2
        focal = far * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
        count = is_face.sum().clamp_min(1)
        height = (box[is_face][:, 3] - box[is_face][:, 1]).clamp_min(1)[:, None]
        away = F.smooth_l1_loss(
            marks[is_face] / height, points[is_face] / height, beta=0.05, reduction="none"
        )
        loss: Tensor = (
            focal[kind >= 0].sum() / count
            + 2 * (1 - generalized).sum() / count
            + self.config.landmark_loss_weight * away.sum() / count
        )
        return loss

    def evaluate(self, model: FaceDetectorNet, device: torch.device) -> dict[str, float]:
        """Return `measure` of the valid pictures, at their original size."""
        return measure(model, self.valid)


def overlaps(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return the intersection over union of boxes ``[n, 4]``, and GIoU."""
    low, high = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    both = (high - low).clamp_min(0).prod(1)
    union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - both
    outer = torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])
    around = outer.prod(1).clamp_min(1e-6)
    shared = both / union.clamp_min(1e-6)
    return shared, shared - (around - union) / around


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train a face detector on ``config.pictures`` in ``data`` and write its checkpoint."""
    loaded = [load(data / name) for name in config.manifests]
    pictures = {split: [p for part in loaded for p in part[split]] for split in loaded[0]}
    made = fingerprint.of(
        config, {n: contents(part) for n, part in zip(config.manifests, loaded, strict=True)}
    )
    state.claim(out, made, resume)
    torch.manual_seed(config.loop.seed)
    model = FaceDetectorNet(config.model)
    if config.init_checkpoint is not None:
        checkpoint.load(config.init_checkpoint).fill(model)
    fit(FaceDetectionTask(config, model, pictures), config.loop, out, made, resume)
    metrics = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "pictures": {name: len(part) for name, part in pictures.items()},
        "valid": measure(model, pictures["valid"]),
    }
    checkpoint.save(out, model, config, metrics, card_text(config, metrics))
    return metrics


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    return card(metrics, config.licence)
