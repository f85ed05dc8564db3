"""Sentiment examples and batches: the common format of loaders and models."""

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
    """``n`` utterances; arrays are aligned by row. Dialogues are contiguous and in order."""

    features: dict[str, Floats]
    """``[n, T, D]`` by modality; frames beyond the length are ignored."""
    lengths: dict[str, NDArray[np.int64]]
    """``[n]`` by modality: number of frames (text: words); 0 if the modality is missing."""
    labels: Floats
    """``[n]`` multimodal sentiment in [-1, 1]."""
    ids: Sequence[str]
    unimodal: dict[str, Floats] = field(default_factory=dict)
    """``[n]`` by modality: human unimodal sentiment; NaN if not annotated."""
    dialogues: NDArray[np.int64] | None = None
    """``[n]`` index of the dialogue, or ``None`` for independent utterances."""

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, modalities: Collection[str]) -> Examples:
        """Return a copy with one modality only."""
        lengths = {n: v if n in modalities else np.zeros_like(v) for n, v in self.lengths.items()}
        return replace(self, lengths=lengths)

    def digest(self) -> str:
        """Return a digest of all arrays."""
        dialogues = [] if self.dialogues is None else [self.dialogues]
        tables: list[Mapping[str, NDArray[Any]]] = [self.features, self.lengths, self.unimodal]
        named = [sorted(table.items()) for table in tables]
        contents = [(name, arrays(values)) for part in named for name, values in part]
        return combined([list(self.ids), contents, arrays(self.labels, *dialogues)])

    def at(self, rows: NDArray[np.int64]) -> Examples:
        """Select rows, in the given order."""
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
    """A data set with its three splits."""

    train: Examples
    valid: Examples
    test: Examples
    scale: Scale
    """Definition of its metrics: see `mera_train.msa.metrics`."""
    largest: float
    """The label that is scaled to 1."""
    fitted: dict[str, slice] = field(default_factory=dict)
    """Columns by modality that were trained on the labels of ``train`` and ``valid``: they leak
    these labels, but do not predict those of unseen data.
    """

    def only(self, modalities: Collection[str]) -> Corpus:
        """Return a copy with only one modality."""
        parts = {n: getattr(self, n).only(modalities) for n in ("train", "valid", "test")}
        return replace(self, **parts)

    @cached_property
    def digest(self) -> str:
        """Digest of all arrays."""
        parts = [part.digest() for part in (self.train, self.valid, self.test)]
        return combined([*parts, self.scale, self.largest, self.fitted])


@dataclass
class Batch:
    """``B`` utterances as tensors."""

    features: dict[str, Tensor]
    """``[B, T, D]`` by modality."""
    lengths: dict[str, Tensor]
    """``[B]`` by modality."""
    dialogues: list[int]
    """Lengths of the dialogues, in order; empty for independent utterances."""

    def to(self, device: torch.device) -> Batch:
        """Move to a device."""
        return Batch(
            {name: value.to(device) for name, value in self.features.items()},
            {name: value.to(device) for name, value in self.lengths.items()},
            self.dialogues,
        )

    def keeping(self, present: Tensor) -> Batch:
        """Drop modalities: ``present [B, 3]``, 1 or 0, in the order of `MODALITIES`."""
        lengths = {
            name: self.lengths[name] * present[:, column].to(torch.int64)
            for column, name in enumerate(MODALITIES)
        }
        return Batch(self.features, lengths, self.dialogues)


def batch(examples: Examples) -> Batch:
    """Convert ``examples`` to tensors."""
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
    """Drop frames of every modality, each independently with probability ``rate``.

    The protocol of TFR-Net and later work: a dropped frame keeps its place, but becomes zero; here
    it becomes the training mean, which is zero after normalisation.

    Args:
        examples: utterances of any split.
        rate: in [0, 1].
        means: by modality ``[D]``, the mean of the training frames.
        seed: with the same seed, a higher rate drops a superset of the frames.
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
    """Convert features to finite float32 (0 for NaN and infinity).

    Args:
        features: by modality ``[n, T, D]``, or ``[n, D]`` for one vector per utterance.
        lengths: by modality ``[n]``; by default up to the last nonzero frame.
        where: file and split, for messages.

    Raises:
        InputError: a modality is missing, not numeric, or has another number of rows than text.
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
