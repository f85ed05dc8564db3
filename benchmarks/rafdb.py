"""Make rafdb.csv, which `train/configs/face/wild.yaml` reads, from RAF-DB's training part.

    python benchmarks/rafdb.py LABELS.csv PICTURES DATA [--drop NAMES] > PICTURES/rafdb.csv

``LABELS.csv`` has the columns ``image,label`` with RAF-DB's labels 1 to 7; ``PICTURES`` has the
aligned faces, ``DATA`` has ferplus.zip. An eighth of the pictures becomes the split *valid*.
Similar pictures (one person in one place, for example) are in the same split; those similar to a
picture of FER+'s valid or test split are left out, as are the names in ``--drop``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.face import crop, decode
from mera_train.face.data import load

LABELS = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
SIDE = 24
"""Side of the compared pictures, in pixels."""

ALIKE = 0.9
"""Correlation of the grey levels from which two pictures count as similar."""


def outlines(pictures: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return ``[n, SIDE ** 2]``: grey levels of mean 0 and length 1."""
    flat = np.stack([crop(picture, SIDE).ravel() for picture in pictures]).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    unit: NDArray[np.float32] = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return unit


def groups(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return ``[n]``: per row the smallest row that a chain of similar pictures links it with."""
    group = np.arange(len(rows))
    changed = True
    alike = [np.flatnonzero(rows @ row > ALIKE) for row in rows]
    while changed:
        least = np.array([group[near].min() for near in alike])
        changed = bool((least != group).any())
        group = least
    return group


def main() -> None:
    """Write the CSV to stdout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--drop", type=Path)
    given = parser.parse_args()
    dropped = set(given.drop.read_text().split()) if given.drop else set()
    with given.labels.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image"] not in dropped]
    seen = outlines(
        [decode((given.pictures / row["image"]).read_bytes(), row["image"]) for row in rows]
    )
    faces = load(given.data)
    kept_aside = np.concatenate(
        [outlines(list(faces[split].pictures)) for split in ("valid", "test")]
    )
    known = np.array([(kept_aside @ row).max() > ALIKE for row in seen])
    group = groups(seen)
    order = np.random.default_rng(1).permutation(np.stack(np.unique(group, return_counts=True), 1))
    sizes = order[:, 1]
    valid = set(order[np.cumsum(sizes) - sizes < len(rows) / 8, 0])
    writer = csv.writer(sys.stdout)
    writer.writerow(("file", "label", "split"))
    for row, alike_to_test, name in zip(rows, known, group, strict=True):
        if not alike_to_test:
            split = "valid" if name in valid else "train"
            writer.writerow((row["image"], LABELS[int(row["label"]) - 1], split))
    print(
        f"{known.sum()} pictures are similar to FER+'s valid or test split and left out; "
        f"{len(sizes)} groups, the largest of {sizes.max()}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
