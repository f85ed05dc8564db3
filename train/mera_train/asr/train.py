"""Training of the recognizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from mera_edge.asr.decode import Greedy
from mera_edge.asr.evaluate import word_error_rate
from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, FLOOR
from mera_train import checkpoint, configuration
from mera_train.asr import alignment, augment, report
from mera_train.asr.alignment import UNKNOWN, Alignment
from mera_train.asr.augment import AugmentConfig
from mera_train.asr.card import card
from mera_train.asr.corpora import Utterance
from mera_train.asr.data import TRAINING, Frames, batches, noises, prepare, speech, synthetic
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.networks import Network, build
from mera_train.asr.units import Units
from mera_train.loop import fit
from mera_train.run import device
from mera_train.task import LoopConfig

LONGEST_TAIL = 40
"""Frames of silence after the last word, at most: the device sees up to a window of it."""


def _from_file(value: Any) -> Any:
    """Read an augmentation that is given as the path of its YAML."""
    return configuration.read(Path(value), AugmentConfig) if isinstance(value, str) else value


class Config(BaseModel):
    """What ``train asr`` reads."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    augment: Annotated[AugmentConfig | None, BeforeValidator(_from_file)] = Field(
        AugmentConfig(), description="inline, or the path of a YAML; null: none"
    )
    loop: LoopConfig = LoopConfig(select="wer")
    corpora: tuple[str, ...] = Field(
        TRAINING, min_length=1, description="names of archives in --data, manifests, or folders"
    )
    seconds: tuple[float, float] = Field(
        (0.3, 25.0), description="shortest and longest training utterance"
    )
    initial: Path | None = Field(None, description="checkpoint to begin with, of the same shape")
    synthetic: str | None = Field(
        None, description="corpus in --data of speech that engines read: `asr.synthesize`"
    )
    synthetic_share: float = Field(
        0.3, gt=0, le=1, description="of the synthetic corpus, drawn anew for every epoch"
    )
    units: Annotated[int, Field(ge=30)] | Literal["characters"] = Field(
        192,
        description="how many subwords, blank included; or `characters`, as for Chinese. Those of "
        "`initial` where it is given",
    )
    batch_frames: int = Field(3000, ge=2000, description="frames of 10 ms to a batch, with padding")
    chunks: tuple[int, ...] = Field(
        (8, 8, 8, 4, 2), description="chunk sizes in encoder frames; one is drawn for a batch"
    )
    aligned_epochs: int = Field(
        1, ge=0, description="before CTC, in which every frame learns its aligned subword"
    )
    phones: float = Field(0.3, ge=0, lt=1, description="weight of the middle block's phone loss")
    symbols: list[str] = Field([], description="the classes; written by training")


@dataclass(frozen=True)
class Plan:
    """One batch: which utterances, how fast, and the seed of its disturbances."""

    items: tuple[tuple[int, float], ...]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Padded frames ``[B, T, 80]`` after CMVN, encoder frames of each, texts as classes.

    And, by the alignment, the class of every encoder frame and its phones, `UNKNOWN` if not known.
    """

    frames: Tensor
    lengths: Tensor
    aligned: Tensor
    phones: Tensor
    targets: Tensor
    target_lengths: Tensor
    chunk: int
    early: bool = False


class Recognition:
    """What the shared loop needs to train a recognizer."""

    def __init__(
        self,
        config: Config,
        model: Network,
        units: Units,
        frames: Frames,
        alignment: Alignment,
        utterances: Sequence[Utterance],
        noise: Sequence[Utterance],
    ) -> None:
        self.model: nn.Module = model
        self.config, self.units = config, units
        self.frames, self.alignment, self.noise = frames, alignment, noise
        self.synthetic = [u for u in utterances if u.split == "synthetic"]
        self.train = [*(u for u in utterances if u.split == "train"), *self.synthetic]
        self.dev = [u for u in utterances if u.split == "dev"]
        self.words = [[units.encode(word) for word in u.text.split()] for u in self.train]
        self.mean = model.mean.numpy().copy()
        self.inverse_std = model.inverse_std.numpy().copy()

    def plan(self, epoch: int) -> list[Plan]:
        config = self.config
        generator = np.random.default_rng((config.loop.seed, epoch))
        speeds = config.augment.speeds if config.augment else (1.0,)
        recorded = len(self.train) - len(self.synthetic)
        items = list(enumerate(generator.choice(speeds, recorded).tolist()))
        count = round(config.synthetic_share * len(self.synthetic))
        drawn = generator.permutation(len(self.synthetic))[:count]
        items += [(recorded + int(index), 1.0) for index in drawn]
        lengths = [
            self.frames.count(self.train[index], speed) + LONGEST_TAIL for index, speed in items
        ]
        return [
            Plan(tuple(items[i] for i in group), (config.loop.seed, epoch, number))
            for number, group in enumerate(batches(lengths, config.batch_frames, generator))
        ]

    def load(self, plan: Plan, epoch: int) -> Batch:
        generator = np.random.default_rng(plan.seed)
        parts, words, phones = [], [], []
        for index, speed in plan.items:
            utterance = self.train[index]
            most = self.config.augment.shift if self.config.augment else 0
            silence = int(generator.integers(0, most + 1))
            frames = augment.delay(self.frames.get(utterance, speed), silence)
            aligned, named = (at - silence / 100 for at in self.times(len(frames)))
            words.append(self.alignment.classes(utterance, self.words[index], aligned * speed))
            phones.append(self.alignment.phones(utterance, named * speed))
            tail = generator.integers(0, LONGEST_TAIL + 1)
            frames = np.concatenate([frames, np.full((tail, BINS), FLOOR, np.float32)])
            parts.append(self._disturbed(frames, generator))
        classes = [list(chain.from_iterable(self.words[index])) for index, _ in plan.items]
        chunk = int(generator.choice(self.config.chunks))
        batch = self._batch(parts, classes, chunk, words, phones)
        return replace(batch, early=epoch < self.config.aligned_epochs)

    def times(self, frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When (s) the encoder frames and the 40 ms whose phones they name are, in their middle."""
        shape = self.config.model
        middle, sounds = shape.right_context // 2, shape.phones_per_frame
        at = np.arange(middle, frames, shape.subsampling)
        between = 4 * np.arange(sounds) - 2 * (sounds - 1)
        return (at + 0.5) / 100, ((at[:, None] + between).flatten() + 0.5) / 100

    def _disturbed(
        self, frames: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        config = self.config.augment
        if config is None:
            return frames
        if config.warp:
            frames = augment.warp(frames, generator.uniform(-config.warp, config.warp))
        if generator.random() < config.rooms:
            room = generator.uniform(*config.rt60_s), generator.uniform(*config.direct_db)
            frames = augment.reverberate(frames, *room)
        moments = generator.poisson(config.substitutions * len(frames) / 100)
        frames = augment.substitute(frames, moments, config.substitution_length, generator)
        frames = augment.gain(frames, generator.uniform(*config.gain_db))
        if generator.random() < config.noise:
            noise = self.frames.get(self.noise[generator.integers(len(self.noise))])
            frames = augment.add_noise(frames, noise, generator.uniform(*config.snr_db))
        return augment.mask(frames, self.mean, config, generator)

    def _batch(
        self,
        parts: Sequence[NDArray[np.float32]],
        classes: Sequence[list[int]],
        chunk: int,
        words: Sequence[NDArray[np.int64]] = (),
        phones: Sequence[NDArray[np.int64]] = (),
    ) -> Batch:
        # Padding is silence, not a mask: the device pads the end of a stream the same way.
        shape = self.config.model
        longest = max(map(len, parts)) + shape.right_context
        padded = np.full((len(parts), longest, BINS), FLOOR, np.float32)
        for row, part in zip(padded, parts, strict=True):
            row[: len(part)] = part
        return Batch(
            torch.from_numpy((padded - self.mean) * self.inverse_std),
            torch.tensor([-(-len(part) // shape.subsampling) for part in parts]),
            _padded(words),
            _padded(phones),
            torch.tensor([symbol for symbols in classes for symbol in symbols]),
            torch.tensor([len(symbols) for symbols in classes]),
            chunk,
        )

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        scores, phones = self.model(batch.frames.to(device), batch.chunk)
        named = self._framewise(phones.flatten(1, 2), batch.phones)
        if batch.early:
            return self._framewise(scores, batch.aligned) + self.config.phones * named
        return self._ctc(scores, batch) + self.config.phones * named

    def _framewise(self, scores: Tensor, aligned: Tensor) -> Tensor:
        """Nats per frame whose class is known."""
        frames = min(scores.shape[1], aligned.shape[1])
        known = aligned[:, :frames].to(scores.device)
        scores = scores[:, :frames].float().transpose(1, 2)
        missed = F.cross_entropy(scores, known, ignore_index=UNKNOWN, reduction="sum")
        return missed / (known != UNKNOWN).sum().clamp(min=1)

    def _ctc(self, scores: Tensor, batch: Batch) -> Tensor:
        """Nats per unit, in full precision."""
        total = F.ctc_loss(
            scores.float().log_softmax(-1).transpose(0, 1),
            batch.targets,
            batch.lengths,
            batch.target_lengths,
            reduction="sum",
            zero_infinity=True,
        )
        return total / batch.target_lengths.sum()

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Decode dev greedily, with the chunks that the device uses."""
        said, heard, loss = self.understood(model, device)
        rates = word_error_rate(said, heard)
        return {"loss": loss, "wer": rates["wer"], "cer": rates["cer"]}

    def understood(
        self, model: nn.Module, device: torch.device
    ) -> tuple[list[str], list[str], float]:
        """Return what the dev speakers said, what was understood, and the loss a unit."""
        chunk = self.config.model.chunk
        lengths = [self.frames.count(u) for u in self.dev]
        generator = np.random.default_rng(0)
        references: list[str] = []
        hypotheses: list[str] = []
        losses, units = 0.0, 0
        for group in batches(lengths, self.config.batch_frames, generator):
            silence = np.full((LONGEST_TAIL // 2, BINS), FLOOR, np.float32)
            parts = [np.concatenate([self.frames.get(self.dev[i]), silence]) for i in group]
            texts = [self.dev[i].text for i in group]
            batch = self._batch(parts, [self.units.encode(text) for text in texts], chunk)
            scores = model(batch.frames.to(device), chunk)[0]
            losses += self._ctc(scores, batch).item() * int(batch.target_lengths.sum())
            units += int(batch.target_lengths.sum())
            for row, length in zip(scores.float().cpu().numpy(), batch.lengths, strict=True):
                greedy = Greedy()
                greedy.accept(row[: int(length)])
                hypotheses.append(self.units.decode([token.symbol for token in greedy.tokens]))
            references += texts
        return references, hypotheses, losses / units


def _padded(rows: Sequence[NDArray[np.int64]]) -> Tensor:
    """Stack rows of different length, `UNKNOWN` after their ends."""
    tensors = [torch.from_numpy(row) for row in rows]
    if not tensors:
        return torch.zeros(0, 0, dtype=torch.int64)
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=UNKNOWN)


def cmvn(frames: Frames, utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Return the mean and the inverse standard deviation of every bin."""
    total, squares, count = np.zeros(BINS), np.zeros(BINS), 0
    for utterance in utterances:
        part = frames.get(utterance).astype(np.float64)
        total, squares, count = total + part.sum(0), squares + (part**2).sum(0), count + len(part)
    mean = total / count
    deviation = np.sqrt(squares / count - mean**2)
    return torch.from_numpy(mean).float(), torch.from_numpy(1 / deviation).float()


def _fits(frames: int, config: Config) -> bool:
    shortest, longest = config.seconds
    return shortest <= frames / 100 <= longest


def _units(config: Config, texts: Sequence[str]) -> Units:
    """Return the units of the checkpoint to begin with, or learn new ones."""
    if config.initial is None:
        return Units.learn(texts, config.units)
    units = Units(checkpoint.load(config.initial).settings(Config).symbols)
    if missing := units.unwritable("".join(texts)):
        raise InputError(
            f"{config.initial} has no units for {' '.join(sorted(missing)[:20])}",
            "rewrite or leave out these texts, or begin without it",
        )
    return units


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train a recognizer on the corpora in ``data`` and write its checkpoint to ``out``.

    Beside it: ``report.md``, the curves and the dev utterances that were understood worst.

    Returns:
        Its metrics on the dev speakers: ``loss`` (nats per unit), ``wer``, ``cer``.

    Raises:
        InputError: a corpus cannot be used, or ``config.initial`` cannot write its texts.
    """
    utterances = [u for u in speech(data, config.corpora) if u.split != "test"]
    read = synthetic(data, config.synthetic) if config.synthetic else []
    noise = noises(data) if config.augment and config.augment.noise else []
    speeds = config.augment.speeds if config.augment else (1.0,)
    frames = prepare(data, [*utterances, *read, *noise], speeds, out / "frames")
    utterances = [u for u in utterances if u.split == "dev" or _fits(frames.count(u), config)]
    training = [u for u in utterances if u.split == "train"]
    for split in ("train", "dev"):
        if not any(u.split == split for u in utterances):
            raise InputError(f"{', '.join(config.corpora)}: no {split} speech", "add some")
    units = _units(config, [u.text for u in [*training, *read]])
    torch.manual_seed(config.loop.seed)
    model = build(config.model, *cmvn(frames, training), len(units.symbols))
    if config.initial is not None:
        checkpoint.load(config.initial).fill(model)
    named = config.aligned_epochs > 0 or config.phones > 0
    aligned = alignment.prepare(data, training if named else [], out / "alignment.npz")
    task = Recognition(config, model, units, frames, aligned, [*utterances, *read], noise)
    metrics = fit(task, config.loop, out, resume)
    # Eleven bits do as well, and the files compress to two thirds.
    for parameter in task.model.parameters():
        parameter.data = parameter.data.half().float()
    with torch.inference_mode():
        said, heard, _ = task.understood(task.model, device())
    report.write(out, said, heard)
    hours, artificial = (sum(map(frames.count, part)) / 360_000 for part in (training, read))
    written = config.model_copy(update={"symbols": units.symbols})
    checkpoint.save(
        out, model, written, metrics, card(metrics, hours, artificial, len(units.symbols))
    )
    return metrics
