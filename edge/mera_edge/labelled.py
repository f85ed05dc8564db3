"""A CSV of labelled examples, with every fault named by its line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS, to_emotion


@dataclass(frozen=True)
class Row:
    """One labelled example."""

    line: int
    given: str
    """The text, or the path of the file."""
    label: str
    """One of the model's labels; for speech recognition, the words."""


def read(
    manifest: Path,
    given: Literal["file", "text"],
    label: Literal["label", "text"],
    labels: Sequence[str] = EMOTIONS,
) -> list[Row]:
    """Read the rows of a CSV with the columns ``given`` and ``label``.

    Args:
        manifest: the CSV, UTF-8, with a header.
        given: the column with what the model gets; files are relative to the CSV's folder.
        label: the column with the truth: an emotion, or the words that are said.
        labels: the emotions that the model tells apart, under whatever name the CSV has them.

    Raises:
        InputError: no such file, a missing column, no rows, a missing file, an empty or unknown
            label; the message names the line.
    """
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in (given, label) if name not in (reader.fieldnames or [])]
            if missing:
                raise InputError(
                    f"{manifest} has no column {missing[0]!r}",
                    f"its first line must name the columns {given},{label}",
                )
            rows = [_row(manifest, reader.line_num, row, given, label, labels) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{manifest} cannot be read ({error})", "give a CSV in UTF-8") from error
    if not rows:
        raise InputError(f"{manifest} has no rows", "give at least one labelled example")
    return rows


def _row(
    manifest: Path,
    line: int,
    row: dict[str, str | None],
    given: str,
    label: str,
    labels: Sequence[str],
) -> Row:
    where = f"{manifest}, line {line}"
    value, truth = row.get(given), (row.get(label) or "").strip()
    if value is None or not truth:
        raise InputError(f"{where}: {label if value else given} is empty", "fill it in")
    if given == "file":
        path = manifest.parent / value
        if not path.is_file():
            raise InputError(f"{where}: {path} does not exist", "correct the path")
        value = str(path)
    if label == "label":
        try:
            truth = truth.lower() if truth.lower() in labels else to_emotion(truth)
        except InputError as error:
            raise InputError(f"{where}: {error}", f"allowed: {', '.join(labels)}") from error
    return Row(line, value, truth)
