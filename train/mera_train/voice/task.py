"""The training task of the voice encoder: batches and loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.features.fbank import BINS
from mera_edge.labels import VALENCE, to_emotion
from mera_train.distillation import disagreement
from mera_train.voice.augment import disturb
from mera_train.voice.balance import choices, shares
from mera_train.voice.config import Config
from mera_train.voice.data import LABELS, Frames, Utterance
from mera_train.voice.measure import classification_metrics, compute_logits, label_mask, masked_nll
from mera_train.voice.model import Voice


@dataclass(frozen=True)
class Split:
    """Utterances for training, dev and test, with disjoint speakers."""

    train: list[Utterance]
    dev: list[Utterance]
    test: list[Utterance]


@dataclass(frozen=True)
class Plan:
    """One batch: its utterances, and its random seed."""

    items: tuple[int, ...]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Frames ``[B, T, 80]``; for both mixup parts: true classes and class mask ``[B, C]``, valence
    ``[B]``, teacher logits ``[B, C]``.
    """

    frames: Tensor
    classes: tuple[Tensor, Tensor]
    choices: tuple[Tensor, Tensor]
    valence: tuple[Tensor, Tensor]
    opinions: tuple[Tensor, Tensor]
    share: float


class VoiceTask:
    """Training task of the voice encoder."""

    def __init__(
        self,
        config: Config,
        model: Voice,
        frames: Frames,
        split: Split,
        noise: Sequence[Utterance],
        opinions: Tensor | None = None,
    ) -> None:
        self.model = model
        self.config, self.frames, self.split, self.noise = config, frames, split, noise
        self.opinions = opinions

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        return shares(self.split.train, self.config.corpora)

    @cached_property
    def _choices(self) -> dict[str, Tensor]:
        return choices(self.split.train)

    def _choice(self, items: Sequence[Utterance]) -> Tensor:
        """Return the class mask, 0 to 1: ``[B, C]``."""
        if self.config.own is not None:
            # Own examples: all classes of the data are possible everywhere.
            return torch.ones(len(items), len(LABELS))
        return torch.stack([self._choices[u.corpus] for u in items])

    def plan(self, epoch: int) -> list[Plan]:
        """Return batches of ``examples_per_epoch`` random utterances: emotions balanced, corpora of
        each emotion weighted as configured.
        """
        config, seed = self.config, (self.config.loop.seed, epoch)
        generator = np.random.default_rng(seed)
        count = config.examples_per_epoch // config.batch_size * config.batch_size
        drawn = generator.choice(len(self._shares), count, p=self._shares).tolist()
        return [
            Plan(tuple(drawn[start : start + config.batch_size]), (*seed, start))
            for start in range(0, count, config.batch_size)
        ]

    def load(self, plan: Plan, epoch: int) -> Batch:
        """Return augmented crops of ``crop_frames`` frames and their labels, with mixup with
        probability ``mixup_prob`` (Zhang et al., 2018).
        """
        generator = np.random.default_rng(plan.seed)
        items = [self.split.train[i] for i in plan.items]
        frames = torch.from_numpy(np.stack([self._example(u, generator) for u in items]))
        classes, choice, valence = label_mask(items), self._choice(items), valences(items)
        opinion = torch.zeros_like(classes)
        if self.opinions is not None:
            opinion = self.opinions[list(plan.items)]
        share, order = 1.0, torch.arange(len(items))
        if generator.random() < self.config.augment.mixup_prob:
            share = float(generator.beta(0.4, 0.4))
            order = torch.from_numpy(generator.permutation(len(items)))
            frames = share * frames + (1 - share) * frames[order]
        return Batch(
            frames,
            (classes, classes[order]),
            (choice, choice[order]),
            (valence, valence[order]),
            (opinion, opinion[order]),
            share,
        )

    def _example(self, utterance: Utterance, generator: np.random.Generator) -> NDArray[np.float32]:
        augment, length = self.config.augment, self.config.crop_frames
        copy = int(generator.integers(2))
        margin = int(generator.integers(augment.max_leading_silence + 1))
        frames = self.frames.spoken(utterance, copy, margin)
        start = int(generator.integers(max(1, len(frames) - length + 1)))
        # Short utterances are repeated, so no padding or masks are needed.
        frames = np.resize(frames[start:], (length, BINS))
        noise = self.frames.whole(self.noise[int(generator.integers(len(self.noise)))])
        noise = np.resize(np.roll(noise, generator.integers(len(noise)), 0), frames.shape)
        return disturb(frames, noise, augment, generator)

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Return cross-entropy in nats plus the weighted squared error of valence, averaged over
        the chunks of a crop with weights that rise from 0.2 to 1.
        """
        model = self.model
        frames = batch.frames.to(device)
        scores, valence, _, _ = model(frames, model.empty(len(frames)))
        # Early chunks count less, because they have little context.
        weight = torch.linspace(0.2, 1.0, scores.shape[1], device=device)
        total = scores.new_zeros(())
        for share, classes, choice, truth, opinion in zip(
            (batch.share, 1 - batch.share),
            batch.classes,
            batch.choices,
            batch.valence,
            batch.opinions,
            strict=True,
        ):
            nats = masked_nll(
                scores, classes.to(device), self.config.label_smoothing, choice.to(device)
            )
            if (taught := self.config.distillation) is not None and self.opinions is not None:
                apart = disagreement(scores, opinion.to(device).unsqueeze(1), taught.temperature)
                nats = (1 - taught.weight) * nats + taught.weight * apart
            error = (valence - truth.to(device).unsqueeze(1)) ** 2
            total = (
                total + share * ((nats + self.config.valence_loss_weight * error) * weight).mean()
            )
        loss: Tensor = total / weight.mean()
        return loss

    def evaluate(self, model: Voice, device: torch.device) -> dict[str, float]:
        """Evaluate on whole recordings of the dev speakers, as on the device."""
        scores = compute_logits(model, self.frames, self.split.dev, device)
        classes = label_mask(self.split.dev)
        metrics = classification_metrics(scores.softmax(1).numpy(), self.split.dev)
        loss = masked_nll(scores.unsqueeze(1), classes, 0.0).mean()
        return {"loss": float(loss), "uar": metrics["uar"], "accuracy": metrics["accuracy"]}


def valences(utterances: Sequence[Utterance]) -> Tensor:
    """Return the valence ``[n]`` of each acted emotion."""
    return torch.tensor([VALENCE[to_emotion(u.label)] for u in utterances])
