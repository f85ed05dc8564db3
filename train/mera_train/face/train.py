"""Training of the face encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from mera_edge.labels import EMOTIONS
from mera_train import checkpoint, fingerprint, state
from mera_train.checkpoint import UNKNOWN
from mera_train.face.augment import AugmentConfig, disturb, mix
from mera_train.face.card import card
from mera_train.face.data import (
    LABELS,
    VALENCES,
    Faces,
    is_face,
    joined,
    load,
    majority,
    plurality,
    read_manifest,
    shares,
)
from mera_train.face.measure import infer, measured, score, softmax, summary
from mera_train.face.model import FaceNet, ModelConfig
from mera_train.fingerprint import combined
from mera_train.loop import fit
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence, origin_text
from mera_train.task import LoopConfig
from mera_train.temperature import fit_temperature


class Config(BaseModel):
    """Configuration of ``train face``."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig = LoopConfig(metric_for_best_model="accuracy", greater_is_better=True)
    init_checkpoint: Path | None = Field(
        None, description="checkpoint to begin with, of the same shape"
    )
    own: OwnConfig | None = Field(None, description="one's own examples, in place of FER+")
    extra_data: tuple[Path, ...] = Field(
        (), description="CSVs of further face crops (file,label,split) to learn and choose by"
    )
    licence: Licence = UNKNOWN
    batch_size: int = Field(128, ge=2)
    low_resolution_ratio: float = Field(
        0.4, ge=0, le=1, description="share of the epochs on crops of two thirds of the size"
    )
    class_balance: float = Field(
        0.25, ge=0, le=1, description="0: labels as frequent as in the data; 1: all the same"
    )
    fer2013_loss_weight: float = Field(
        0.3, ge=0, description="weight of FER2013's labels in the loss"
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="of FER2013's labels, which are single"
    )
    valence_loss_weight: float = Field(1.0, ge=0, description="weight of the valence in the loss")

    def learning_from(self, own: OwnConfig) -> Config:
        """Return a copy that trains on the user's own examples instead of FER+."""
        return self.model_copy(update={"own": own})


class ExpressionTask:
    """Training task of the face encoder."""

    def __init__(
        self, config: Config, model: FaceNet, train: Faces, dev: Faces, further: Faces | None
    ) -> None:
        # torch declares no matching overload.
        self.model: FaceNet = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.dev, self.further = config, dev, further
        train = train.at(is_face(train.votes))
        self.pictures = torch.from_numpy(train.pictures)[:, None]
        self.shares = torch.from_numpy(shares(train.votes))
        self.fer2013 = torch.from_numpy(train.fer2013)
        counts = np.bincount(plurality(train.votes), minlength=len(LABELS))
        self.frequency = torch.from_numpy(counts[plurality(train.votes)] ** -config.class_balance)

    def plan(self, epoch: int) -> list[tuple[int, Tensor]]:
        """Return batches of rows, each with the seed of its augmentation."""
        seed = self.config.loop.seed * 1_000_003 + epoch
        generator = torch.Generator().manual_seed(seed)
        rows = torch.multinomial(
            self.frequency, len(self.frequency), replacement=True, generator=generator
        )
        return [
            (seed * 10_007 + number, batch)
            for number, batch in enumerate(rows.split(self.config.batch_size))
            if len(batch) > 1
        ]

    def load(self, plan: tuple[int, Tensor], epoch: int) -> list[Tensor]:
        """Return crops, FER+ distributions and FER2013 distributions (zeros where unknown)."""
        seed, rows = plan
        generator = torch.Generator().manual_seed(seed)
        size = self.config.model.crop_size
        if epoch < self.config.low_resolution_ratio * self.config.loop.epochs:
            size = size * 2 // 3
        crops = disturb(self.pictures[rows].float(), size, self.config.augment, generator)
        known = self.fer2013[rows] >= 0
        smoothing = self.config.label_smoothing
        second = F.one_hot(self.fer2013[rows].clamp_min(0), len(EMOTIONS)) * (1 - smoothing)
        second = (second + smoothing / len(EMOTIONS)) * known[:, None]
        return mix([crops, self.shares[rows], second], self.config.augment, generator)

    def loss(self, batch: list[Tensor], device: torch.device) -> Tensor:
        """Return the cross-entropy with FER+'s votes plus the weighted cross-entropy with FER2013's
        labels and the weighted squared error of valence. The target valence is the mean over the
        votes.
        """
        crops, first, second = (tensor.to(device) for tensor in batch)
        logits, fer2013, valence, _ = self.model(crops)
        target = first @ torch.from_numpy(VALENCES).to(device)
        loss: Tensor = (
            -(first * logits.float().log_softmax(1)).sum(1).mean()
            - self.config.fer2013_loss_weight
            * (second * fer2013.float().log_softmax(1)).sum(1).mean()
            + self.config.valence_loss_weight * F.mse_loss(valence.float()[:, 0], target)
        )
        return loss

    def evaluate(self, model: FaceNet, device: torch.device) -> dict[str, float]:
        """Return `summary` of FER+'s valid split. With ``extra_data`` also ``further_accuracy``,
        ``further_uar`` and ``balanced``, the mean of both corpora's figures."""
        logits, fer2013, _ = infer(model, self.dev)
        metrics = summary(logits, fer2013, self.dev)
        if self.further is not None:
            other = score(softmax(infer(model, self.further)[0]), plurality(self.further.votes))
            metrics |= {"further_accuracy": other["accuracy"], "further_uar": other["uar"]}
            # FER+ is scored by its own protocol, the other corpora by unweighted average recall.
            metrics["balanced"] = (metrics["majority_accuracy"] + other["uar"]) / 2
        return metrics


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train a face encoder on ``ferplus.zip`` in ``data`` and write its checkpoint to ``out``.

    Weights are fitted on the train split, selected and temperature-scaled on valid, and tested once
    at the end.

    Returns:
        `measure` of the valid split, the test split and its degraded versions.
    """
    faces = load(data)
    manifests = [read_manifest(path) for path in config.extra_data]
    learnt = joined([faces["train"], *(part["train"] for part in manifests)])
    further = joined([part["valid"] for part in manifests]) if manifests else None
    parts = [learnt, faces["valid"], faces["test"], *([further] if further else [])]
    made = fingerprint.of(config, {"the pictures": combined(part.digest() for part in parts)})
    state.claim(out, made, resume)
    torch.manual_seed(config.loop.seed)
    model = FaceNet(config.model)
    if config.init_checkpoint is not None:
        checkpoint.load(config.init_checkpoint).fill(model)
    task = ExpressionTask(config, model, learnt, faces["valid"], further)
    fit(task, config.loop, out, made, resume)
    power = take_back_prior(model, learnt, faces["valid"], further) if further else 0.0
    logits, _, _ = infer(model, faces["valid"])
    truth = plurality(faces["valid"].votes)
    model.temperature.fill_(
        fit_temperature(torch.from_numpy(logits[truth >= 0]), torch.from_numpy(truth[truth >= 0]))
    )
    metrics = {
        "begun": origin_text(config.init_checkpoint),
        "parameters": sum(p.numel() for p in model.parameters()),
        "temperature": float(model.temperature),
        "prior_taken_back": power,
        "further": {
            path.name: len(part["train"])
            for path, part in zip(config.extra_data, manifests, strict=True)
        },
        **measured(model, faces, further),
    }
    checkpoint.save(out, model, config, metrics, card_text(config, metrics))
    return metrics


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    return card(metrics, config.licence)


def take_back_prior(model: FaceNet, learnt: Faces, dev: Faces, further: Faces) -> float:
    """Choose the logit adjustment for rare labels on the dev sets, apply it and return it.

    The log-frequency of each label in training, times 0 to 0.5, is subtracted from its logit (Menon
    et al., 2021): fear is rarer among web photographs than elsewhere.
    """
    counts = np.bincount(plurality(learnt.votes[is_face(learnt.votes)]), minlength=len(LABELS))
    prior = np.log(counts / counts.sum()).astype(np.float32)
    known, other = infer(model, dev)[0], infer(model, further)[0]

    def balanced(power: float) -> float:
        first = score(softmax(known - power * prior), majority(dev.votes))["accuracy"]
        second = score(softmax(other - power * prior), plurality(further.votes))["uar"]
        return float(first + second)

    best = max((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), key=balanced)
    with torch.no_grad():
        model.emotion.bias.sub_(best * torch.from_numpy(prior))
    return best
