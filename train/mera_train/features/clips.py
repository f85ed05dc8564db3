"""Clips and their labels: the CH-SIMS layout, or a plain CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mera_edge import table
from mera_edge.errors import InputError
from mera_edge.labels import to_emotion

SPLITS = {
    **{"train": "train", "test": "test"},
    **dict.fromkeys(("valid", "dev", "val", "validation"), "valid"),
}
RATED = ("label", "label_T", "label_A", "label_V")
"""Sentiment in [-1, 1] of the whole, the text, the sound and the picture alone (CH-SIMS)."""


@dataclass(frozen=True)
class Clip:
    """One row of a data set."""

    id: str
    path: Path
    split: str
    text: str = ""
    emotion: str = ""
    """One of the seven, or nothing."""
    person: str = ""
    """Who is in it; CH-SIMS tells the video instead."""
    ratings: Mapping[str, float] = field(default_factory=dict)
    """By column of `RATED`; absent where nobody rated it."""


def read(directory: Path) -> list[Clip]:
    """List the clips of a data set.

    Args:
        directory: directory with ``label.csv``. In the CH-SIMS layout its columns are ``video_id``,
            ``clip_id``, ``text``, ``label``, ``label_T``, ``label_A``, ``label_V``,
            ``annotation``, ``mode``, and the clips are at ``Raw/<video_id>/<clip_id>.mp4``. A plain
            one has ``file`` and ``label`` (a sentiment or an emotion), optional ``text`` and
            ``split``. The path of a CSV may be given instead of its directory.

    Raises:
        InputError: a missing file or column, a duplicate, or an invalid label; the message names
            the line. Missing clips are reported when they are read.
    """
    path = directory if directory.suffix == ".csv" else directory / "label.csv"
    clips: dict[str, Clip] = {}
    for line, row in table.read(path, ("file", "label"), ("video_id", "clip_id", "label")):
        clip = clip_of(path.parent, f"{path}, line {line}", row)
        if clip.id in clips:
            raise InputError(f"{path}, line {line}: {clip.id} occurs twice", "remove one")
        clips[clip.id] = clip
    return list(clips.values())


def unlabelled(directory: Path, clips: list[Clip]) -> list[Path]:
    """Return the clips in the CH-SIMS directory without a row."""
    known = {clip.path for clip in clips}
    return [path for path in sorted((directory / "Raw").rglob("*.mp4")) if path not in known]


def clip_of(folder: Path, where: str, row: Mapping[str, Any]) -> Clip:
    """Parse a row.

    Args:
        folder: directory of the table.
        where: file and line, for messages.
        row: its columns; see `read`.

    Raises:
        InputError: a column is invalid.
    """
    split = (row.get("mode") or row.get("split") or "train").strip().lower()
    if split not in SPLITS:
        raise InputError(f"{where}: split {split!r} is unknown", f"one of {', '.join(SPLITS)}")
    if "file" in row:
        name, file = row["file"], folder / row["file"]
        if not name:
            raise InputError(f"{where}: file is empty", "fill it in")
    else:
        # Kept as strings: CH-SIMS pads numbers with zeros.
        name = f"{row['video_id']}${row['clip_id']}"
        file = folder / "Raw" / row["video_id"] / f"{row['clip_id']}.mp4"
    ratings = dict(_ratings(where, row))
    emotion = row.get("emotion") or ("" if "label" in ratings else row["label"])
    if emotion:
        try:
            emotion = to_emotion(emotion.strip())
        except InputError as error:
            raise InputError(f"{where}: {error}; or give a number") from error
    text, person = ((row.get(key) or "").strip() for key in ("text", "person"))
    person = person or (row.get("video_id") or "").strip()
    return Clip(name, file, SPLITS[split], text, emotion, person, ratings)


def _ratings(where: str, row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name in RATED:
        text = (row.get(name) or "").strip()
        try:
            value = float(text)
        except ValueError:
            if name == "label" and text:
                continue  # It may be an emotion.
            if text:
                raise InputError(f"{where}: {name} is {text!r}", "give a number") from None
            if name == "label":
                raise InputError(f"{where}: label is empty", "fill it in") from None
            continue
        if not math.isfinite(value) or abs(value) > 1:
            raise InputError(f"{where}: {name} is {text}", "sentiment lies in [-1, 1]")
        yield name, value
