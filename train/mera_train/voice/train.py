"""Training of the voice encoder, shipped or cross-validated."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.errors import InputError
from mera_train import checkpoint, fingerprint, state
from mera_train.fingerprint import Made
from mera_train.loop import fit
from mera_train.voice import teacher
from mera_train.voice.augment import AugmentConfig
from mera_train.voice.card import card
from mera_train.voice.config import Config
from mera_train.voice.data import (
    DEV_SPEAKERS,
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
from mera_train.voice.ensemble import Ensemble, blank, network
from mera_train.voice.measure import (
    classification_metrics,
    compute_logits,
    label_mask,
    most_confident_errors,
    temperature,
)
from mera_train.voice.model import Voice, VoiceEncoder
from mera_train.voice.task import Split, VoiceTask

FOLDS = 6
CPU = torch.device("cpu")


def copies(utterance: Utterance, augment: AugmentConfig) -> list[Copy]:
    """Return the copies of a training recording: the original and an augmented one."""
    # Seeded by the recording, for the same copy on every machine.
    generator = np.random.default_rng([*utterance.file.encode()])
    slowest, fastest = augment.speed_factors
    speed, room, clipped = generator.uniform(slowest, fastest), *generator.random(2)
    return [
        Copy(),
        Copy(round(speed, 2), room < augment.reverb_prob, clipped < augment.clipping_prob),
    ]


def cmvn(frames: Frames, utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Return mean and inverse standard deviation of every bin over level-normalised speech."""
    recordings = (frames.spoken(u).astype(np.float64) for u in utterances[::3])
    every = np.concatenate([r - r.mean() for r in recordings])
    mean, deviation = every.mean(0), every.std(0)
    return torch.from_numpy(mean).float(), torch.from_numpy(1 / deviation).float()


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on the corpora in ``data``; write a checkpoint, or the folds' metrics, to ``out``."""
    every = [
        u
        for corpus in config.corpora
        for u in thinned(speech(data, corpus), config.corpus_fraction.get(corpus, 1.0))
    ]
    unseen = [u for corpus in config.test_corpora for u in speech(data, corpus)]
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
    split = _split(every, DEV_SPEAKERS, TEST_SPEAKERS)
    heard = None
    if (taught := config.distillation) is not None:
        # With six folds, every actor is used for training.
        learnt = every if config.protocol == "folds" else split.train
        found = teacher.states(taught.encoder, data, learnt, frames, out / "states.npy", digests)
        heard = dict(zip(learnt, found, strict=True))
    sounds = Sounds(frames, unseen, noise, heard)
    if config.protocol == "folds":
        return cross_validate(config, sounds, every, out, made, resume)
    model, _, metrics = _fit(config, sounds, split, out, made, resume)
    final = config.model_copy(update={"model": model.config})
    checkpoint.save(out, model, final, metrics, card_text(final, metrics))
    return metrics


@dataclass(frozen=True)
class Sounds:
    """Frames of all recordings, test sets and noises; a teacher's features of each recording."""

    frames: Frames
    unseen: Sequence[Utterance]
    noise: Sequence[Utterance]
    heard: Mapping[Utterance, NDArray[np.float16]] | None


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    chunk, taught = config.model.chunk_size, config.distillation is not None
    return card(metrics, config.corpora, chunk, config.licence, taught)


def cross_validate(
    config: Config,
    sounds: Sounds,
    every: Sequence[Utterance],
    out: Path,
    made: Made,
    resume: bool | Path,
) -> dict[str, Any]:
    """Train six models, each tested on four held-out RAVDESS actors."""
    tested: list[Utterance] = []
    scores: list[Tensor] = []
    metrics: dict[str, Any] = {}
    for number in range(1, FOLDS + 1):
        dev, test = fold(number)
        split = _split(every, {RAVDESS: dev}, {RAVDESS: test})
        directory = out / f"fold{number}"
        _, answers, metrics[f"fold{number}"] = _fit(
            config, sounds, split, directory, {**made, "fold": str(number)}, resume
        )
        tested, scores = [*tested, *split.test], [*scores, answers]
    metrics["all"] = classification_metrics(torch.cat(scores).softmax(1).numpy(), tested)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def joined(checkpoints: Sequence[Path]) -> Ensemble:
    """Combine several checkpoints into an ensemble.

    Raises:
        InputError, ConfigError: a checkpoint is unreadable, or is itself an ensemble.
    """
    members = []
    for directory in checkpoints:
        loaded = checkpoint.load(directory)
        member = loaded.fill(blank(loaded.settings(Config).model))
        if not isinstance(member, VoiceEncoder):
            raise InputError(f"{directory} is an ensemble", "name its members")
        # The temperature of the ensemble is fitted again.
        member.temperature.fill_(1)
        members.append(member)
    return Ensemble(members).eval()


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
    sounds: Sounds,
    split: Split,
    out: Path,
    made: Made,
    resume: bool | Path,
) -> tuple[Voice, Tensor, dict[str, Any]]:
    """Train, calibrate on dev, measure on test and on unseen corpora."""
    torch.manual_seed(config.loop.seed)
    frames, noise = sounds.frames, sounds.noise
    model: Voice
    if config.ensemble:
        model = joined(config.ensemble)
        dev_metrics = VoiceTask(config, model, frames, split, noise).evaluate(model, CPU)
    else:
        model = network(config.model, *cmvn(frames, split.train))
        if config.init_checkpoint is not None:
            checkpoint.load(config.init_checkpoint).fill(model).train()
            model.temperature.fill_(1)
        task = VoiceTask(config, model, frames, split, noise, _taught(config, sounds, split.train))
        dev_metrics = fit(task, config.loop, out, made, resume)
    device = model.temperature.device
    model.temperature.fill_(
        temperature(compute_logits(model, frames, split.dev, device), label_mask(split.dev))
    )
    scores = compute_logits(model, frames, split.test, device)
    metrics = {
        "dev": dev_metrics,
        "temperature": float(model.temperature),
        **_tested(model, frames, [*split.test, *sounds.unseen]),
    }
    return model, scores, metrics


def _taught(config: Config, sounds: Sounds, learnt: Sequence[Utterance]) -> Tensor | None:
    """Return the teacher's logits for the training recordings, and print its accuracy."""
    if config.distillation is None or sounds.heard is None:
        return None
    heard = np.stack([sounds.heard[u] for u in learnt])
    scores = teacher.soft_labels(heard, learnt, config.corpora, config.distillation.penalty)
    for corpus in dict.fromkeys(u.corpus for u in learnt):
        here = [i for i, u in enumerate(learnt) if u.corpus == corpus]
        found = classification_metrics(scores[here].softmax(1).numpy(), [learnt[i] for i in here])
        print(f"teacher, {corpus}: UAR {found['uar']:.3f}, n {len(here)}", file=sys.stderr)
    return scores


def measured(loaded: checkpoint.Checkpoint, data: Path) -> dict[str, Any]:
    """Return all test metrics of a trained model."""
    config = loaded.settings(Config)
    heard = [u for u in speech(data, RAVDESS) if u.speaker in TEST_SPEAKERS[RAVDESS]]
    heard += [u for corpus in config.test_corpora for u in speech(data, corpus)]
    model = loaded.fill(blank(config.model))
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        digests = fingerprint.Digests(place / "digests.json")
        frames = prepare(data, heard, lambda u: [Copy()], place / "frames", digests)
        return _tested(model, frames, heard)


def _tested(model: Voice, frames: Frames, utterances: Sequence[Utterance]) -> dict[str, Any]:
    """Return the metrics of every corpus, and the most confident errors."""
    metrics: dict[str, Any] = {"mistakes": {}}
    for corpus in dict.fromkeys(u.corpus for u in utterances):
        members = [u for u in utterances if u.corpus == corpus]
        answers = (
            compute_logits(model, frames, members, model.temperature.device).softmax(1).numpy()
        )
        metrics[corpus] = classification_metrics(answers, members)
        metrics["mistakes"][corpus] = most_confident_errors(answers, members)
    return metrics
