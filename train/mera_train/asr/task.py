"""The training task of the recognizer: batches, loss, dev metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mera_edge.asr.decoding.ctc import Greedy
from mera_edge.features.fbank import BINS, FLOOR
from mera_edge.metrics.word_error_rate import word_error_rate
from mera_train.asr import augment
from mera_train.asr.alignment import UNKNOWN, Alignment
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance
from mera_train.asr.data import Frames, batches
from mera_train.asr.networks import Network
from mera_train.asr.units import Units

LONGEST_TAIL = 40
"""Maximum frames of silence after the last word: on the device it is up to one window."""


Heard: TypeAlias = dict[Utterance, str]
"""Transcripts by utterance."""


@dataclass(frozen=True)
class Plan:
    """One batch: utterances, speeds, augmentation seed, and whether it is before CTC training."""

    items: tuple[tuple[int, float], ...]
    seed: tuple[int, ...]
    early: bool


@dataclass(frozen=True)
class Batch:
    """Padded frames ``[B, T, 80]`` after CMVN, encoder frames of each, texts as classes.

    From the alignment, also the class and phones of every encoder frame; else `UNKNOWN`.
    """

    frames: Tensor
    lengths: Tensor
    aligned: Tensor
    phones: Tensor
    targets: Tensor
    target_lengths: Tensor
    chunk: int
    early: bool = False


class RecognitionTask:
    """Training task of the recognizer."""

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
        self.model = model
        self.config, self.units = config, units
        self.frames, self.alignment, self.noise = frames, alignment, noise
        self.synthetic = [u for u in utterances if u.split == "synthetic"]
        self.train = [*(u for u in utterances if u.split == "train"), *self.synthetic]
        self.dev = [u for u in utterances if u.split == "dev"]
        self.words = [[units.encode(word) for word in u.text.split()] for u in self.train]
        self.mean = model.mean.numpy().copy()
        self.inverse_std = model.inverse_std.numpy().copy()

    def plan(self, epoch: int) -> list[Plan]:
        """Return the batches of an epoch: every recorded utterance once, at a random speed, and
        ``synthetic_share`` of the synthetic ones. Batches have utterances of similar length.
        """
        config = self.config
        generator = np.random.default_rng((config.loop.seed, epoch))
        speeds = config.augment.speed_factors if config.augment else (1.0,)
        recorded = len(self.train) - len(self.synthetic)
        items = list(enumerate(generator.choice(speeds, recorded).tolist()))
        count = round(config.synthetic_share * len(self.synthetic))
        drawn = generator.permutation(len(self.synthetic))[:count]
        items += [(recorded + int(index), 1.0) for index in drawn]
        lengths = [
            self.frames.count(self.train[index], speed) + LONGEST_TAIL for index, speed in items
        ]
        groups = list(batches(lengths, config.batch_frames, generator))
        early = (config.frame_ce_epochs - epoch) * len(groups)
        return [
            Plan(tuple(items[i] for i in group), (config.loop.seed, epoch, number), number < early)
            for number, group in enumerate(groups)
        ]

    def load(self, plan: Plan, epoch: int) -> Batch:
        """Return a batch: augmented, padded log-mel frames with text and alignment. Augmentation
        depends on ``plan.seed`` only.
        """
        generator = np.random.default_rng(plan.seed)
        parts, words, phones = [], [], []
        shift, varies = (
            (c.max_time_shift, c.max_tempo_change) if (c := self.config.augment) else (0, 0.0)
        )
        for index, speed in plan.items:
            utterance = self.train[index]
            frames = self.frames.get(utterance, speed)
            if varies:
                tempo = generator.uniform(1 - varies, 1 + varies)
                frames, speed = augment.pace(frames, tempo), speed * tempo
            silence = int(generator.integers(0, shift + 1))
            frames = augment.delay(frames, silence)
            aligned, named = (at - silence / 100 for at in self.times(len(frames)))
            words.append(self.alignment.classes(utterance, self.words[index], aligned * speed))
            phones.append(self.alignment.phones(utterance, named * speed))
            tail = generator.integers(0, LONGEST_TAIL + 1)
            frames = np.concatenate([frames, np.full((tail, BINS), FLOOR, np.float32)])
            parts.append(self._disturbed(frames, generator))
        classes = [list(chain.from_iterable(self.words[index])) for index, _ in plan.items]
        chunk = int(generator.choice(self.config.chunk_sizes))
        batch = self._batch(parts, classes, chunk, words, phones)
        return replace(batch, early=plan.early)

    def times(self, frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centre times (s) of the encoder frames and of their 40 ms phone segments."""
        shape = self.config.model
        middle, sounds = shape.right_context // 2, shape.phones_per_frame
        at = np.arange(middle, frames, shape.subsampling_factor)
        between = 4 * np.arange(sounds) - 2 * (sounds - 1)
        return (at + 0.5) / 100, ((at[:, None] + between).flatten() + 0.5) / 100

    def _disturbed(
        self, frames: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        config = self.config.augment
        if config is None:
            return frames
        if config.max_freq_warp:
            frames = augment.warp(
                frames, generator.uniform(-config.max_freq_warp, config.max_freq_warp)
            )
        if generator.random() < config.reverb_prob:
            room = generator.uniform(*config.rt60_s), generator.uniform(*config.drr_db)
            frames = augment.reverberate(frames, *room)
        moments = generator.poisson(config.spec_subs_per_s * len(frames) / 100)
        frames = augment.substitute(frames, moments, config.spec_sub_width, generator)
        frames = augment.gain(frames, generator.uniform(*config.gain_db))
        if generator.random() < config.noise_prob:
            noise = self.frames.get(self.noise[int(generator.integers(len(self.noise)))])
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
        # Padding is silence and not masked: the device pads the end of a stream in the same way.
        shape = self.config.model
        longest = max(map(len, parts)) + shape.right_context
        padded = np.full((len(parts), longest, BINS), FLOOR, np.float32)
        for row, part in zip(padded, parts, strict=True):
            row[: len(part)] = part
        return Batch(
            torch.from_numpy((padded - self.mean) * self.inverse_std),
            torch.tensor([-(-len(part) // shape.subsampling_factor) for part in parts]),
            _padded(words),
            _padded(phones),
            torch.tensor([symbol for symbols in classes for symbol in symbols]),
            torch.tensor([len(symbols) for symbols in classes]),
            chunk,
        )

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Return the CTC loss in nats per unit, or frame-wise cross-entropy before CTC training
        (``plan.early``), plus ``phone_loss_weight`` times the cross-entropy of the phones.
        """
        scores, phones = self.model(batch.frames.to(device), batch.chunk)
        named = self._framewise(phones.flatten(1, 2), batch.phones)
        if batch.early:
            return self._framewise(scores, batch.aligned) + self.config.phone_loss_weight * named
        return self._ctc(scores, batch) + self.config.phone_loss_weight * named

    def _framewise(self, scores: Tensor, aligned: Tensor) -> Tensor:
        """Cross-entropy in nats per frame with a known class."""
        frames = min(scores.shape[1], aligned.shape[1])
        known = aligned[:, :frames].to(scores.device)
        scores = scores[:, :frames].float().transpose(1, 2)
        missed = F.cross_entropy(scores, known, ignore_index=UNKNOWN, reduction="sum")
        return missed / (known != UNKNOWN).sum().clamp(min=1)

    def _ctc(self, scores: Tensor, batch: Batch) -> Tensor:
        """CTC loss in nats per unit, in full precision."""
        total = F.ctc_loss(
            scores.float().log_softmax(-1).transpose(0, 1),
            batch.targets,
            batch.lengths,
            batch.target_lengths,
            reduction="sum",
            zero_infinity=True,
        )
        return total / batch.target_lengths.sum()

    def evaluate(self, model: Network, device: torch.device) -> dict[str, float]:
        """Decode dev greedily, with the device's chunk size."""
        heard, loss = self.decode_dev(model, device)
        found = rates(heard)
        return {"loss": loss, "wer": found["wer"], "cer": found["cer"]}

    def decode_dev(self, model: Network, device: torch.device) -> tuple[Heard, float]:
        """Return the hypotheses by utterance and the loss per unit on dev."""
        chunk = self.config.model.chunk_size
        lengths = [self.frames.count(u) for u in self.dev]
        generator = np.random.default_rng(0)
        heard: Heard = {}
        losses, units = 0.0, 0
        for group in batches(lengths, self.config.batch_frames, generator):
            silence = np.full((LONGEST_TAIL // 2, BINS), FLOOR, np.float32)
            parts = [np.concatenate([self.frames.get(self.dev[i]), silence]) for i in group]
            said = [self.dev[i] for i in group]
            batch = self._batch(parts, [self.units.encode(u.text) for u in said], chunk)
            scores = model(batch.frames.to(device), chunk)[0]
            losses += self._ctc(scores, batch).item() * int(batch.target_lengths.sum())
            units += int(batch.target_lengths.sum())
            rows = scores.float().cpu().numpy()
            for utterance, row, length in zip(said, rows, batch.lengths, strict=True):
                greedy = Greedy()
                greedy.accept(row[: int(length)])
                heard[utterance] = self.units.decode([token.symbol for token in greedy.tokens])
        return heard, losses / units


def rates(heard: Heard) -> dict[str, Any]:
    """Return `word_error_rate` of transcripts, with the speakers where they are known."""
    people = [u.speaker for u in heard]
    return word_error_rate(
        [u.text for u in heard], list(heard.values()), people if all(people) else None
    )


def _padded(rows: Sequence[NDArray[np.int64]]) -> Tensor:
    """Stack rows of different lengths, padded with `UNKNOWN`."""
    tensors = [torch.from_numpy(row) for row in rows]
    if not tensors:
        return torch.zeros(0, 0, dtype=torch.int64)
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=UNKNOWN)
