"""FER+: greyscale faces with the votes of ten annotators, and their FER2013 labels."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.face import crop, decode
from mera_edge.labels import EMOTIONS, OUTSIDE, VALENCE, to_emotion
from mera_train.fingerprint import arrays, combined

ARCHIVE = "ferplus.zip"

LABELS = (*EMOTIONS, *sorted(OUTSIDE))
"""FER+'s eight: the seven emotions and contempt."""

VALENCES = np.array([*VALENCE.values(), -0.4], np.float32)
"""Of `LABELS`; contempt is mildly unpleasant."""

SIZE = 48
"""Side of the pictures in pixels."""

SPLITS = ("train", "valid", "test")
MAX_RMSE = 4.0
"""Largest RMSE of a picture match for its FER2013 label to be used."""


@dataclass(frozen=True)
class Faces:
    """One split; arrays are aligned by row."""

    names: list[str]
    pictures: NDArray[np.uint8]
    """``[n, 48, 48]``"""
    votes: NDArray[np.int64]
    """``[n, 10]``: `LABELS`, then *unknown* and *not a face*."""
    fer2013: NDArray[np.int64]
    """``[n]`` index into `EMOTIONS`, -1 where unknown."""

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> str:
        """Return a digest of all arrays."""
        return combined([self.names, arrays(self.pictures, self.votes, self.fer2013)])

    def at(self, rows: NDArray[np.bool_]) -> Faces:
        """Select the rows where ``rows`` is true."""
        names = [name for name, keep in zip(self.names, rows, strict=True) if keep]
        return Faces(names, self.pictures[rows], self.votes[rows], self.fer2013[rows])


def load(data: Path) -> dict[str, Faces]:
    """Read ``ferplus.zip`` in the directory ``data``.

    Pictures that also occur, pixel for pixel, in a later split are left out: the original has such
    duplicates, and no test picture may be trained on.

    Raises:
        InputError: the file is missing or has an unexpected layout.
    """
    path = data / ARCHIVE
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give the directory with the corpora as --data")
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("manifest.csv"), "utf-8")))
        pictures = np.stack(
            [crop(decode(archive.read(row["file"]), row["file"]), SIZE) for row in rows]
        ).astype(np.uint8)
    column = {
        to_emotion(name) if name not in OUTSIDE else name: key
        for key in rows[0]
        if (name := key.removeprefix("votes_")) != key and name not in ("unknown", "NF")
    }
    keys = [*(column[label] for label in LABELS), "votes_unknown", "votes_NF"]
    faces = Faces(
        [row["file"] for row in rows],
        pictures,
        np.array([[int(row[key]) for key in keys] for row in rows]),
        np.array([_fer2013(row) for row in rows]),
    )
    split = np.array([row["split"] for row in rows])
    parts = {name: faces.at(split == name) for name in SPLITS}
    for earlier, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
        known = {picture.tobytes() for picture in parts[later].pictures}
        fresh = [picture.tobytes() not in known for picture in parts[earlier].pictures]
        parts[earlier] = parts[earlier].at(np.array(fresh))
    return parts


def read_manifest(path: Path) -> dict[str, Faces]:
    """Read further labelled face crops from a CSV with the columns ``file,label,split``.

    A label counts as the vote of all ten annotators; the FER2013 label is unknown.

    Args:
        path: the CSV; files are relative to its folder, splits are those of `SPLITS`.

    Raises:
        InputError: a column or a file is missing, or a label or a split is unknown.
    """
    parts: dict[str, list[tuple[str, NDArray[np.uint8], int]]] = {name: [] for name in SPLITS}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if missing := {"file", "label", "split"} - set(reader.fieldnames or []):
            raise InputError(
                f"{path} has no column {min(missing)!r}", "it needs the columns file,label,split"
            )
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if row["split"] not in SPLITS:
                raise InputError(f"{where}: unknown split {row['split']!r}", f"use one of {SPLITS}")
            picture = path.parent / row["file"]
            if not picture.is_file():
                raise InputError(f"{where}: {picture} does not exist", "correct the path")
            pixels = crop(decode(picture.read_bytes(), str(picture)), SIZE).astype(np.uint8)
            label = LABELS.index(to_emotion(row["label"]))
            parts[row["split"]].append((row["file"], pixels, label))
    return {name: _unanimous(rows) for name, rows in parts.items()}


def _unanimous(rows: list[tuple[str, NDArray[np.uint8], int]]) -> Faces:
    votes = np.zeros((len(rows), len(LABELS) + 2), np.int64)
    votes[range(len(rows)), [label for _, _, label in rows]] = 10
    pictures = np.array([pixels for _, pixels, _ in rows], np.uint8).reshape(-1, SIZE, SIZE)
    return Faces([name for name, _, _ in rows], pictures, votes, np.full(len(rows), -1))


def joined(parts: Sequence[Faces]) -> Faces:
    """Concatenate several `Faces`."""
    return Faces(
        [name for part in parts for name in part.names],
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.votes for part in parts]),
        np.concatenate([part.fer2013 for part in parts]),
    )


def _fer2013(row: dict[str, str]) -> int:
    believed = row["fer2013_label"] and float(row["fer2013_match_rmse"]) <= MAX_RMSE
    return EMOTIONS.index(to_emotion(row["fer2013_label"])) if believed else -1


def shares(votes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the votes as distributions over `LABELS`, ``[n, 8]``.

    Single votes are treated as outliers (Barsoum et al., 2016) unless no label has more than one.
    Rows without any vote for an emotion are all zeros.
    """
    eight = votes[:, : len(LABELS)].astype(np.float32)
    kept = np.where(eight > 1, eight, 0)
    kept = np.where(kept.sum(1, keepdims=True) > 0, kept, eight)
    fractions: NDArray[np.float32] = kept / np.maximum(kept.sum(1, keepdims=True), 1)
    return fractions


def is_face(votes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether some emotion has at least as many votes as *unknown* and *not a face*, ``[n]``."""
    most, other = votes[:, : len(LABELS)].max(1), votes[:, len(LABELS) :].max(1)
    return np.asarray(most >= np.maximum(other, 1))


def plurality(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the label with most votes ``[n]``; -1 where *unknown* or *not a face* has more."""
    return np.where(is_face(votes), votes[:, : len(LABELS)].argmax(1), -1)


def majority(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the label with more than half of the votes ``[n]``; -1 where there is none.

    Protocol of the FER+ authors (Microsoft/FERPlus, mode *majority*): single votes are removed
    first; rows won by *unknown* or *not a face* are dropped.
    """
    kept = np.where(votes > 1, votes, 0)
    best = kept.argmax(1)
    won = (kept.max(1) > 0.5 * kept.sum(1)) & (best < len(LABELS))
    return np.where(won, best, -1)
