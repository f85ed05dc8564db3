"""Training of the voice encoder, shipped or cross-validated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mera_edge.features.fbank import BINS
from mera_edge.labels import VALENCE, to_emotion
from mera_train import checkpoint, fingerprint, state
from mera_train.checkpoint import UNKNOWN
from mera_train.fingerprint import Made
from mera_train.loop import fit
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence
from mera_train.task import LoopConfig
from mera_train.voice.augment import AugmentConfig, disturb
from mera_train.voice.card import card
from mera_train.voice.data import (
    DEV_SPEAKERS,
    LABELS,
    RAVDESS,
    TEST_SPEAKERS,
    Copy,
    Frames,
    Utterance,
    contents,
    fold,
    noises,
    prepare,
    speech,
    thinned,
)
from mera_train.voice.measure import allowed, judge, listen, surprise, temperature, worst
from mera_train.voice.model import ModelConfig, VoiceEncoder

FOLDS = 6


class Config(BaseModel):
    """What ``train voice`` reads."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig = LoopConfig()
    protocol: Literal["ship", "folds"] = Field(
        "ship", description="one model for the bundle, or six to measure by RAVDESS actor"
    )
    corpora: dict[str, float] = Field(
        {RAVDESS: 1.0, "nemo": 0.4}, description="share of each that an epoch draws"
    )
    used: dict[str, float] = Field({}, description="share of a corpus that is used; else all of it")
    unseen: list[str] = Field(
        ["emodb_4class", "urdu"], description="corpora that only measure, after training"
    )
    crop: int = Field(192, ge=32, description="frames of a training example")
    batch: int = Field(64, ge=2)
    licence: Licence = UNKNOWN
    own: OwnConfig | None = Field(None, description="one's own examples, in place of the corpora")
    smoothing: float = Field(0.1, ge=0, lt=1, description="of the labels")
    valence: float = Field(0.3, ge=0, description="weight of the valence error in the loss")

    def learning_from(self, own: OwnConfig) -> Config:
        """Return the same with one's own examples in place of the corpora."""
        return self.model_copy(update={"own": own})


@dataclass(frozen=True)
class Split:
    """Who trains, who chooses, who measures. No speaker is in two of them."""

    train: list[Utterance]
    dev: list[Utterance]
    test: list[Utterance]


@dataclass(frozen=True)
class Plan:
    """One batch: which utterances, and the seed of all that is drawn for it."""

    items: tuple[int, ...]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Frames ``[B, T, 80]``; allowed classes ``[B, C]``, valence ``[B]``, of both mixed parts."""

    frames: Tensor
    classes: tuple[Tensor, Tensor]
    valence: tuple[Tensor, Tensor]
    share: float


class Emotion:
    """What the shared loop needs to train a voice encoder."""

    def __init__(
        self,
        config: Config,
        model: VoiceEncoder,
        frames: Frames,
        split: Split,
        noise: Sequence[Utterance],
    ) -> None:
        self.model: nn.Module = model
        self.config, self.frames, self.split, self.noise = config, frames, split, noise

    def plan(self, epoch: int) -> list[Plan]:
        config, seed = self.config, (self.config.loop.seed, epoch)
        generator = np.random.default_rng(seed)
        drawn: list[int] = []
        for corpus, share in config.corpora.items():
            for label in LABELS:
                members = [
                    i
                    for i, u in enumerate(self.split.train)
                    if u.corpus == corpus and u.label == label
                ]
                # RAVDESS has half as many neutral recordings as of any other emotion.
                times = 2 if corpus == RAVDESS and label == "neutral" else 1
                count = round(share * times * len(members))
                order = np.concatenate([generator.permutation(members) for _ in range(times)])
                drawn += order[:count].astype(int).tolist()
        order = generator.permutation(drawn).tolist()
        return [
            Plan(tuple(order[start : start + config.batch]), (*seed, start))
            for start in range(0, len(order) - config.batch + 1, config.batch)
        ]

    def load(self, plan: Plan, epoch: int) -> Batch:
        generator = np.random.default_rng(plan.seed)
        augment = self.config.augment
        items = [self.split.train[i] for i in plan.items]
        frames = torch.from_numpy(np.stack([self._example(u, generator) for u in items]))
        classes, valence = allowed(items), valences(items)
        share, order = 1.0, torch.arange(len(items))
        if generator.random() < augment.mixup:
            share = float(generator.beta(0.4, 0.4))
            order = torch.from_numpy(generator.permutation(len(items)))
            frames = share * frames + (1 - share) * frames[order]
        return Batch(frames, (classes, classes[order]), (valence, valence[order]), share)

    def _example(self, utterance: Utterance, generator: np.random.Generator) -> NDArray[np.float32]:
        augment, length = self.config.augment, self.config.crop
        copy = int(generator.integers(2))
        margin = int(generator.integers(augment.leading_silence + 1))
        frames = self.frames.spoken(utterance, copy, margin)
        start = int(generator.integers(max(1, len(frames) - length + 1)))
        # What is too short is said again: no padding, no masks.
        frames = np.resize(frames[start:], (length, BINS))
        noise = self.frames.whole(self.noise[generator.integers(len(self.noise))])
        noise = np.resize(np.roll(noise, generator.integers(len(noise)), 0), frames.shape)
        return disturb(frames, noise, augment, generator)

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        model: Any = self.model
        frames = batch.frames.to(device)
        scores, valence, _, _ = model(frames, model.empty(len(frames)))
        # Early answers count less: with little heard, little can be known.
        weight = torch.linspace(0.2, 1.0, scores.shape[1], device=device)
        total = scores.new_zeros(())
        for share, classes, truth in zip(
            (batch.share, 1 - batch.share), batch.classes, batch.valence, strict=True
        ):
            nats = surprise(scores, classes.to(device), self.config.smoothing)
            error = (valence - truth.to(device).unsqueeze(1)) ** 2
            total = total + share * ((nats + self.config.valence * error) * weight).mean()
        return total / weight.mean()

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Hear the dev speakers' whole recordings, as the device does."""
        scores = listen(model, self.frames, self.split.dev, device)
        classes = allowed(self.split.dev)
        metrics = judge(scores.softmax(1).numpy(), self.split.dev)
        loss = surprise(scores.unsqueeze(1), classes, 0.0).mean()
        return {"loss": float(loss), "uar": metrics["uar"], "accuracy": metrics["accuracy"]}


def valences(utterances: Sequence[Utterance]) -> Tensor:
    """Return the valence ``[n]`` that stands for each acted emotion."""
    return torch.tensor([VALENCE[to_emotion(u.label)] for u in utterances])


def copies(utterance: Utterance, augment: AugmentConfig) -> list[Copy]:
    """The copies of a training recording: as it is, and one that is disturbed."""
    # Seeded by the recording: the same again on another machine.
    generator = np.random.default_rng([*utterance.file.encode()])
    speed, room, clipped = generator.uniform(*augment.speeds), *generator.random(2)
    return [Copy(), Copy(round(speed, 2), room < augment.rooms, clipped < augment.clipped)]


def cmvn(frames: Frames, utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Return the mean and the inverse standard deviation of every bin, over speech whose own level
    is subtracted."""
    recordings = (frames.spoken(u).astype(np.float64) for u in utterances[::3])
    every = np.concatenate([r - r.mean() for r in recordings])
    mean, deviation = every.mean(0), every.std(0)
    return torch.from_numpy(mean).float(), torch.from_numpy(1 / deviation).float()


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on the corpora in ``data``; write a checkpoint, or the folds' metrics, to ``out``."""
    every = [
        u
        for corpus in config.corpora
        for u in thinned(speech(data, corpus), config.used.get(corpus, 1.0))
    ]
    unseen = [u for corpus in config.unseen for u in speech(data, corpus)]
    noise = noises(data)
    digests = fingerprint.Digests(out / "digests.json")
    made = fingerprint.of(config, contents(data, [*every, *unseen, *noise], digests), digests)
    digests.save()
    state.claim(out, made, resume)
    quiet = {*unseen, *noise}
    frames = prepare(
        data,
        [*every, *unseen, *noise],
        lambda u: [Copy()] if u in quiet else copies(u, config.augment),
        out / "frames",
        digests,
    )
    if config.protocol == "folds":
        return cross_validate(config, frames, every, unseen, noise, out, made, resume)
    split = _split(every, DEV_SPEAKERS, TEST_SPEAKERS)
    model, _, metrics = _fit(config, frames, split, unseen, noise, out, made, resume)
    said = card(metrics, config.corpora, config.model.chunk, config.licence)
    checkpoint.save(out, model, config, metrics, said)
    return metrics


def cross_validate(
    config: Config,
    frames: Frames,
    every: Sequence[Utterance],
    unseen: Sequence[Utterance],
    noise: Sequence[Utterance],
    out: Path,
    made: Made,
    resume: bool | Path,
) -> dict[str, Any]:
    """Train six models, each tested on four RAVDESS actors that it never heard."""
    tested: list[Utterance] = []
    scores: list[Tensor] = []
    metrics: dict[str, Any] = {}
    for number in range(1, FOLDS + 1):
        dev, test = fold(number)
        split = _split(every, {RAVDESS: dev}, {RAVDESS: test})
        directory = out / f"fold{number}"
        _, answers, metrics[f"fold{number}"] = _fit(
            config, frames, split, unseen, noise, directory, {**made, "fold": str(number)}, resume
        )
        tested, scores = [*tested, *split.test], [*scores, answers]
    metrics["all"] = judge(torch.cat(scores).softmax(1).numpy(), tested)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def _split(
    every: Sequence[Utterance],
    dev: dict[str, tuple[str, ...]],
    test: dict[str, tuple[str, ...]],
) -> Split:
    chosen = [u for u in every if u.speaker in dev.get(u.corpus, ())]
    measured = [u for u in every if u.speaker in test.get(u.corpus, ())]
    held_out = {*chosen, *measured}
    return Split([u for u in every if u not in held_out], chosen, measured)


def _fit(
    config: Config,
    frames: Frames,
    split: Split,
    unseen: Sequence[Utterance],
    noise: Sequence[Utterance],
    out: Path,
    made: Made,
    resume: bool | Path,
) -> tuple[VoiceEncoder, Tensor, dict[str, Any]]:
    """Train, calibrate on dev, measure on test and on the unseen corpora."""
    torch.manual_seed(config.loop.seed)
    model = VoiceEncoder(config.model, *cmvn(frames, split.train), len(LABELS))
    task = Emotion(config, model, frames, split, noise)
    dev_metrics = fit(task, config.loop, out, made, resume)
    device = model.mean.device
    model.temperature.fill_(
        temperature(listen(model, frames, split.dev, device), allowed(split.dev))
    )
    scores = listen(model, frames, split.test, device)
    tests = {RAVDESS: split.test} if split.test else {}
    tests |= {corpus: [u for u in unseen if u.corpus == corpus] for corpus in config.unseen}
    metrics: dict[str, Any] = {
        "dev": dev_metrics,
        "temperature": float(model.temperature),
        "mistakes": {},
    }
    for corpus, members in tests.items():
        answers = listen(model, frames, members, device).softmax(1).numpy()
        metrics[corpus] = judge(answers, members)
        metrics["mistakes"][corpus] = worst(answers, members)
    return model, scores, metrics
