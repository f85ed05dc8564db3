"""Reads CSV files of labelled examples; errors name the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mera_edge import table
from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS, to_emotion


@dataclass(frozen=True)
class Row:
    """One labelled example."""

    line: int
    given: str
    """The text, or the path of the file."""
    label: str
    """One of the model's labels; for speech recognition, the transcript."""
    person: str = ""
    """Who is heard or seen, if the table says it."""


def read(
    manifest: Path,
    given: Literal["file", "text"],
    label: Literal["label", "text"],
    labels: Sequence[str] = EMOTIONS,
    skipped: table.Skipped | None = None,
) -> list[Row]:
    """Read the rows of a CSV with the columns ``given`` and ``label``, and perhaps ``person``.

    Args:
        manifest: the CSV file, UTF-8, with a header.
        given: the column with the input; files are relative to the directory of the CSV file.
        label: the column with the ground truth: an emotion, or the transcript.
        labels: the model's labels; the CSV file may use synonyms (`to_emotion`).
        skipped: collects unusable rows; without it there must be none.

    Raises:
        InputError: the file does not exist, a column is missing, there are no rows, a row's file
            does not exist, or a label is empty or unknown; the message names the line.
    """
    rows = []
    for line, row in table.read(manifest, (given, label)):
        try:
            rows.append(_row(manifest, line, row, given, label, labels))
        except InputError as fault:
            (skipped or table.Skipped()).add(fault)
    if not rows:
        raise InputError(f"{manifest} has no usable rows", "correct them")
    return rows


def _row(
    manifest: Path,
    line: int,
    row: table.Row,
    given: str,
    label: str,
    labels: Sequence[str],
) -> Row:
    where = f"{manifest}, line {line}"
    value, truth = row[given], row[label].strip()
    if not truth or not (value or given == "text"):
        raise InputError(f"{where}: {given if truth else label} is empty", "fill it in")
    if given == "file":
        path = manifest.parent / value
        if not table.is_file(path):
            raise InputError(f"{where}: {path} does not exist", "correct the path")
        value = str(path)
    if label == "label":
        try:
            truth = truth.lower() if truth.lower() in labels else to_emotion(truth)
        except InputError as error:
            allowed = f"allowed: {', '.join(labels)}"
            near = f"{error.remedy} {allowed}" if "did you mean" in error.remedy else allowed
            raise InputError(f"{where}: {error.what}", near) from error
    return Row(line, value, truth, row.get("person", "").strip())
