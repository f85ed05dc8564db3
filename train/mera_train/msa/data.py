"""Examples of sentiment, and batches of them: what every loader fills and every model reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_edge.errors import InputError
from mera_train.fingerprint import arrays, combined
from mera_train.msa.metrics import Scale

MODALITIES = ("text", "audio", "vision")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """``n`` utterances. Rows belong together; those of a dialogue are neighbours, in order."""

    features: dict[str, Floats]
    """By modality ``[n, T, D]``; what is beyond the length is never looked at."""
    lengths: dict[str, NDArray[np.int64]]
    """By modality ``[n]``: frames (of text: words); 0 where there is nothing of the modality."""
    labels: Floats
    """``[n]`` sentiment of the whole in [-1, 1]."""
    ids: Sequence[str]
    unimodal: dict[str, Floats] = field(default_factory=dict)
    """By modality ``[n]`` sentiment that people saw in it alone; NaN where nobody looked."""
    dialogues: NDArray[np.int64] | None = None
    """``[n]`` number of the dialogue, or ``None`` for utterances that stand alone."""

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, modalities: Collection[str]) -> Examples:
        """Return the same utterances with nothing of any other modality."""
        lengths = {n: v if n in modalities else np.zeros_like(v) for n, v in self.lengths.items()}
        return replace(self, lengths=lengths)

    def digest(self) -> str:
        """Return a digest of everything that is in them."""
        dialogues = [] if self.dialogues is None else [self.dialogues]
        tables: list[Mapping[str, NDArray[Any]]] = [self.features, self.lengths, self.unimodal]
        named = [sorted(table.items()) for table in tables]
        contents = [(name, arrays(values)) for part in named for name, values in part]
        return combined([list(self.ids), contents, arrays(self.labels, *dialogues)])

    def at(self, rows: NDArray[np.int64]) -> Examples:
        """Return some rows, in that order."""
        return Examples(
            {name: values[rows] for name, values in self.features.items()},
            {name: values[rows] for name, values in self.lengths.items()},
            self.labels[rows],
            [self.ids[row] for row in rows],
            {name: values[rows] for name, values in self.unimodal.items()},
            None if self.dialogues is None else self.dialogues[rows],
        )


@dataclass(frozen=True)
class Corpus:
    """A data set in its three parts."""

    train: Examples
    valid: Examples
    test: Examples
    scale: Scale
    """How its figures are counted: `mera_train.msa.metrics`."""
    largest: float
    """The label that 1 stands for."""
    fitted: dict[str, slice] = field(default_factory=dict)
    """By modality the columns that were learnt from the labels of ``train`` and ``valid``: they
    give them away, which they do not on unseen material."""

    def only(self, modalities: Collection[str]) -> Corpus:
        """Return the same corpus with nothing of any other modality."""
        parts = {n: getattr(self, n).only(modalities) for n in ("train", "valid", "test")}
        return replace(self, **parts)

    @cached_property
    def digest(self) -> str:
        """A digest of everything that is in it."""
        parts = [part.digest() for part in (self.train, self.valid, self.test)]
        return combined([*parts, self.scale, self.largest, self.fitted])


@dataclass
class Batch:
    """``B`` utterances as tensors."""

    features: dict[str, Tensor]
    """By modality ``[B, T, D]``."""
    lengths: dict[str, Tensor]
    """By modality ``[B]``."""
    dialogues: list[int]
    """Lengths of the dialogues that the utterances make, in order; empty where they stand alone."""

    def to(self, device: torch.device) -> Batch:
        """Move to a device."""
        return Batch(
            {name: value.to(device) for name, value in self.features.items()},
            {name: value.to(device) for name, value in self.lengths.items()},
            self.dialogues,
        )

    def keeping(self, present: Tensor) -> Batch:
        """Take modalities away: ``present [B, 3]``, 1 or 0, in the order of `MODALITIES`."""
        lengths = {
            name: self.lengths[name] * present[:, column].to(torch.int64)
            for column, name in enumerate(MODALITIES)
        }
        return Batch(self.features, lengths, self.dialogues)


def batch(examples: Examples) -> Batch:
    """Convert all of ``examples``."""
    counts: list[int] = []
    if examples.dialogues is not None:
        begins = np.flatnonzero(np.diff(examples.dialogues, prepend=-1, append=-1))
        counts = np.diff(begins).tolist()
    return Batch(
        {name: torch.from_numpy(values) for name, values in examples.features.items()},
        {name: torch.from_numpy(values) for name, values in examples.lengths.items()},
        counts,
    )


def dropped(
    examples: Examples, rate: float, means: Mapping[str, Floats], seed: int | np.random.Generator
) -> Examples:
    """Drop frames of every modality, each with chance ``rate``, whatever the others lose.

    The protocol of TFR-Net and its followers: a dropped frame is still there but says nothing.
    Theirs becomes zero; so does ours, after normalisation: it is the training mean.

    Args:
        examples: any.
        rate: in [0, 1].
        means: by modality ``[D]``, the mean of the training frames.
        seed: the same seed drops the same frames, and with a higher rate more of them.
    """
    random = np.random.default_rng(seed)
    features = {}
    for name in MODALITIES:
        values = examples.features[name]
        gone = random.random(values.shape[:2]) < rate
        features[name] = np.where(gone[:, :, None], means[name], values).astype(np.float32)
    return replace(examples, features=features)


def clean(
    features: Mapping[str, NDArray[np.generic]],
    lengths: Mapping[str, NDArray[np.generic]],
    where: str,
) -> tuple[dict[str, Floats], dict[str, NDArray[np.int64]]]:
    """Make features that a network can read: float32, finite (0 for NaN and infinity).

    Args:
        features: by modality ``[n, T, D]``, or ``[n, D]`` for one vector an utterance.
        lengths: by modality ``[n]``; where missing, up to the last frame that is not all zero.
        where: file and part, for messages.

    Raises:
        InputError: a modality is missing, is no array of numbers or has other rows than text.
    """
    cleaned, found = {}, {}
    for name in MODALITIES:
        if name not in features:
            raise InputError(f"{where} has no {name!r}", "give features of all three modalities")
        values = np.asarray(features[name])
        if values.dtype.kind not in "fiu" or values.ndim not in (2, 3):
            raise InputError(
                f"{where}: {name!r} is {values.dtype} {values.shape}",
                "give numbers [n, T, D], or [n, D]",
            )
        values = values[:, None] if values.ndim == 2 else values
        if len(values) != len(features[MODALITIES[0]]):
            raise InputError(
                f"{where}: {len(values)} rows of {name!r}, {len(features[MODALITIES[0]])} of text",
                "give one row for each utterance",
            )
        cleaned[name] = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
        if name in lengths:
            length = np.asarray(lengths[name]).astype(np.int64)
        else:
            filled = (cleaned[name] != 0).any(axis=2)
            length = np.where(filled.any(1), filled.shape[1] - filled[:, ::-1].argmax(1), 0)
        if length.shape != (len(values),):
            raise InputError(f"{where}: lengths of {name!r} are {length.shape}", "give [n]")
        found[name] = length.clip(0, values.shape[1]).astype(np.int64)
    return cleaned, found
