"""The corpora as datasets: the train split for calibration, the dev split for the gate.

Test splits are never used: a choice made on them would invalidate their figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.features.face import crop
from mera_edge.features.fbank import log_mel
from mera_edge.labels import to_emotion
from mera_edge.metrics.word_error_rate import normalized
from mera_export import own_datasets
from mera_train import audio
from mera_train.asr import data as speeches
from mera_train.asr.corpora import location
from mera_train.face import data as faces
from mera_train.text import data as texts
from mera_train.voice import data as voices


@dataclass(frozen=True)
class Corpora:
    """The datasets of all roles: the corpora in a directory, and what checkpoints learnt from."""

    data: Path | None
    """Directory of the corpora."""
    checkpoints: Path | None = None
    """Where a role's checkpoint has its own examples (`examples.csv`), these are used."""

    def __call__(self, role: RoleName, bundle: Bundle) -> Dataset:
        """List the examples of a role; nothing is decoded yet.

        Args:
            role: a role that can be quantized.
            bundle: the bundle whose model they are for.

        Raises:
            InputError: a corpus is missing.
        """
        if path := own_datasets.table(self.checkpoints, role):
            return own_datasets.dataset(path, role, bundle)
        corpora, examples = _DATASETS[role]
        if self.data is None:
            raise InputError(f"corpora are missing: {', '.join(corpora)}", "give --data")
        return examples(self.data, bundle)

    def missing(self, role: RoleName) -> list[str]:
        """Return the missing corpora of a role, or the missing files of its own examples."""
        if path := own_datasets.table(self.checkpoints, role):
            return own_datasets.missing(path)
        corpora, _ = _DATASETS[role]
        return list(corpora) if self.data is None else absent(self.data, corpora)


def absent(data: Path, names: Iterable[str]) -> list[str]:
    """Return the corpora that are neither a directory nor a zip in ``data``."""
    return [
        name for name in names if not (data / name).exists() and not (data / f"{name}.zip").exists()
    ]


def _voice(data: Path, bundle: Bundle) -> Dataset:
    train, dev = [], []
    for corpus, chosen in voices.DEV_SPEAKERS.items():
        tested = voices.TEST_SPEAKERS.get(corpus, ())
        where = voices.location(data, corpus)
        for row in voices.speech(data, corpus):
            example = Example(
                f"{corpus}/{row.file}",
                to_emotion(row.label),
                f"{corpus}/{row.speaker}",
                partial(_frames, where, row.file),
            )
            if row.speaker in chosen:
                dev.append(example)
            elif row.speaker not in tested:
                train.append(example)
    return Dataset(train, dev)


def _asr(data: Path, bundle: Bundle) -> Dataset:
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for row in speeches.speech(data):
        where = location(data, row.corpus)
        parts[row.split].append(
            Example(
                f"{row.corpus}/{row.file}",
                normalized(row.text),
                f"{row.corpus}/{row.speaker}",
                partial(_frames, where, row.file),
            )
        )
    return Dataset(parts["train"], parts["dev"])


def _face(data: Path, bundle: Bundle) -> Dataset:
    size = bundle.role("face").engine().inputs["face"].shape[-1]
    parts = faces.load(data)

    def examples(split: str) -> list[Example]:
        part = parts[split]
        return [
            Example(name, faces.LABELS[label], "", partial(crop, picture, size))
            for name, picture, label in zip(
                part.names, part.pictures, faces.plurality(part.votes), strict=True
            )
            if label >= 0
        ]

    return Dataset(examples("train"), examples("valid"))


def _text(data: Path, bundle: Bundle) -> Dataset:
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for number, row in enumerate(texts.sentences(data)):
        # As in the evaluation of training: only sentences with exactly one emotion.
        if len(row.emotions) == 1:
            name = f"{row.corpus}/{row.split}/{number}"
            parts[row.split].append(
                Example(name, row.emotions[0], row.corpus, partial(str, row.text))
            )
    return Dataset(parts["train"], parts["dev"])


def _frames(corpus: Path, file: str) -> NDArray[np.float32]:
    frames: Any = log_mel(audio.read(corpus, file))
    return np.asarray(frames, np.float32)


_DATASETS: dict[RoleName, tuple[Collection[str], Callable[[Path, Bundle], Dataset]]] = {
    "voice": (voices.DEV_SPEAKERS, _voice),
    "asr": (speeches.TRAINING, _asr),
    "face": ((faces.ARCHIVE,), _face),
    "text": ((texts.ARCHIVE,), _text),
}
"""By role: the names of its corpora, and how their examples are listed."""
