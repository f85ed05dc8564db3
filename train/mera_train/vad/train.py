"""Training of the speech detector, with Silero VAD as its teacher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from mera_edge.metrics.confusion import drawn_rates
from mera_train import checkpoint, fingerprint, state
from mera_train.checkpoint import UNKNOWN
from mera_train.loop import fit
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence
from mera_train.task import LoopConfig
from mera_train.vad import teacher
from mera_train.vad.card import card
from mera_train.vad.data import LIBRISPEECH, NEMO, SPEECHOCEAN, contents, noise, prepare, speech
from mera_train.vad.model import CHUNK, Detector, ModelConfig
from mera_train.vad.scenes import SceneConfig, Scenes
from mera_train.voice.data import RAVDESS


class Config(BaseModel):
    """Configuration of ``train vad``."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    scenes: SceneConfig = SceneConfig()
    loop: LoopConfig = LoopConfig()
    corpora: dict[str, float] = Field(
        {RAVDESS: 1.0, NEMO: 0.25, SPEECHOCEAN: 0.5, LIBRISPEECH: 0.5},
        description="share of each that is learnt from",
    )
    synthetic_noises_per_kind: int = Field(80, ge=2, description="made sounds of every kind")
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(150, ge=1, description="to an epoch")
    dev_batches: int = Field(12, ge=1)
    teacher: Path | None = Field(
        None, description="another model with Silero's interface; else the package's"
    )
    licence: Licence = UNKNOWN
    own: OwnConfig | None = Field(None, description="one's own recordings, in place of `corpora`")

    def learning_from(self, own: OwnConfig) -> Config:
        """Return a copy that trains on the user's own recordings instead of the corpora."""
        return self.model_copy(update={"own": own})


@dataclass(frozen=True)
class Batch:
    """Frames ``[B, T, 80]``, probability of speech ``[B, T / 4]``."""

    frames: Tensor
    targets: Tensor


class SpeechDetectionTask:
    """Training task of the speech detector."""

    def __init__(self, config: Config, model: Detector, train: Scenes, dev: Scenes) -> None:
        self.model = model
        self.config, self.train, self.dev = config, train, dev

    def plan(self, epoch: int) -> list[int]:
        """Return batch numbers; scenes are composed in `load`."""
        return list(range(self.config.batches_per_epoch))

    def load(self, plan: int, epoch: int) -> Batch:
        """Compose a batch of scenes, seeded by seed, epoch and batch number."""
        return self._batch(self.train, (self.config.loop.seed, epoch, plan))

    def _batch(self, scenes: Scenes, seed: tuple[int, ...]) -> Batch:
        generator = np.random.default_rng(seed)
        drawn = [scenes.draw(generator) for _ in range(self.config.batch_size)]
        targets = torch.from_numpy(np.stack([target for _, target in drawn]))
        frames = torch.from_numpy(np.stack([frames for frames, _ in drawn]))
        return Batch(frames, targets.unflatten(1, (-1, CHUNK)).mean(2))

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Return binary cross-entropy in nats with the teacher's probability, per 40 ms."""
        frames = batch.frames.to(device)
        scores, _ = self.model(frames, self.model.empty(len(frames)))
        return F.binary_cross_entropy_with_logits(scores.float(), batch.targets.to(device))

    def evaluate(self, model: Detector, device: torch.device) -> dict[str, float]:
        """Evaluate on scenes of dev speakers and dev noise, the same in every epoch."""
        logits, targets = self.heard(model, device)
        found = rates(logits, targets)
        return {
            "loss": float(F.binary_cross_entropy_with_logits(logits, targets)),
            **{name: found[name] for name in ("recall", "false_alarms")},
        }

    def heard(self, model: Detector, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return logits and targets ``[n, T / 4]`` of the dev scenes."""
        scores, truth = [], []
        for number in range(self.config.dev_batches):
            batch = self._batch(self.dev, (0, number))
            frames = batch.frames.to(device)
            scores.append(model(frames, model.empty(len(frames)))[0].float().cpu())
            truth.append(batch.targets)
        return torch.cat(scores), torch.cat(truth)


def rates(logits: Tensor, targets: Tensor) -> dict[str, Any]:
    """Return recall and false alarms of scenes, with intervals.

    Args:
        logits, targets: ``[n, T / 4]``, of `SpeechDetectionTask.heard`.

    Returns:
        ``n`` scenes; ``recall`` and ``false_alarms``, shares of the time with and without speech;
        ``interval_95`` of both, by bootstrap over scenes.
    """
    said = logits > 0
    counts = {
        name: torch.stack([(said & there).sum(1), there.sum(1)], 1).numpy()
        for name, there in (("recall", targets > 0.5), ("false_alarms", targets < 0.1))
    }
    return {
        "n": len(logits),
        **{name: float(c[:, 0].sum() / max(c[:, 1].sum(), 1)) for name, c in counts.items()},
        "interval_95": {
            name: np.percentile(drawn_rates(c), (2.5, 97.5)).tolist() for name, c in counts.items()
        },
    }


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on the corpora in ``data``; write a checkpoint to ``out``."""
    spoken = [r for corpus, share in config.corpora.items() for r in speech(data, corpus, share)]
    noises = noise(data, config.synthetic_noises_per_kind)
    model = config.teacher or teacher.silero()
    digests = fingerprint.Digests(out / "digests.json")
    used = contents(data, [*spoken, *noises], digests)
    made = fingerprint.of(config, {**used, "teacher": model}, digests)
    digests.save()
    state.claim(out, made, resume)
    material = prepare(data, [*spoken, *noises], model, out / "frames", used)
    train_scenes, dev_scenes = (
        Scenes(
            material,
            [r for r in spoken if r.dev == dev],
            [r for r in noises if r.dev == dev],
            config.scenes,
        )
        for dev in (False, True)
    )
    torch.manual_seed(config.loop.seed)
    detector = Detector(config.model)
    task = SpeechDetectionTask(config, detector, train_scenes, dev_scenes)
    chosen = fit(task, config.loop, out, made, resume)
    metrics: dict[str, Any] = {"dev": {**chosen, **asked(task, detector)}}
    checkpoint.save(out, detector, config, metrics, card_text(config, metrics))
    return metrics


def asked(task: SpeechDetectionTask, model: Detector) -> dict[str, Any]:
    """Return the `rates` of a detector on the dev scenes of a task."""
    with torch.inference_mode():
        return rates(*task.heard(model.eval(), next(model.parameters()).device))


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    return card(metrics, config.licence)
