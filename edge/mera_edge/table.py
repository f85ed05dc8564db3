"""Reads CSV files written by people or other tools; errors name the line."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mera_edge.errors import InputError

Row = dict[str, str]
T = TypeVar("T")

ALIASES = {
    "file": ("file_name", "filename", "path", "audio_filepath", "audio", "image"),
    "text": ("sentence", "transcript", "transcription"),
    "label": ("emotion",),
    "person": ("speaker", "speaker_id", "actor", "subject", "client_id"),
    "split": (),
    "weight": (),
}
"""Names of our columns in other tools, case-insensitive: Hugging Face, MASR, Common Voice."""

DELIMITERS = ",;\t|"
"""In order of preference. Spreadsheets write semicolons in locales with decimal commas."""


class Skipped:
    """Collects unusable rows that are skipped; more than ``limit`` are an error."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.faults: list[str] = []

    def add(self, fault: InputError) -> None:
        """Skip a row, or raise if there are too many."""
        if len(self.faults) < self.limit:
            self.faults.append(str(fault))
            return
        if self.limit:
            raise InputError(
                f"{len(self.faults) + 1} rows are unusable, more than the {self.limit} "
                "allowed; the last: "
                f"{fault.what}",
                fault.remedy,
            ) from fault
        raise fault


def renamed(columns: Mapping[str, T]) -> dict[str, T]:
    """Rename the columns of a row to our names; a column that has one already is kept."""
    given = {name.strip().lower(): name for name in columns if isinstance(name, str)}
    ours = {
        given[theirs]: name
        for name, aliases in ALIASES.items()
        if name not in columns
        for theirs in [next((alias for alias in (name, *aliases) if alias in given), None)]
        if theirs is not None
    }
    return {ours.get(name, name): value for name, value in columns.items()}


def read(path: Path, *layouts: Sequence[str]) -> list[tuple[int, Row]]:
    """Read the rows of a CSV file with their line numbers. Empty lines are skipped.

    Args:
        path: UTF-8 or UTF-16, separated by commas, semicolons, tabs or bars, with a header; column
            names may be `ALIASES`.
        layouts: required columns; additional ones are allowed. Of several layouts, the first whose
            first column exists applies. Missing fields at the end of a row are empty.

    Raises:
        InputError: the file does not exist, a column is missing (the message names those found),
            there are no rows, or a row has more fields than columns.
    """
    try:
        text = _text(path.read_bytes())
        if not text.strip():
            raise InputError(f"{path} is empty", f"begin with the columns {','.join(layouts[0])}")
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=_delimiter(text, layouts), restval=""
        )
        found = _columns(reader.fieldnames)
        reader.fieldnames = found
        _check(path, next((c for c in layouts if c[0] in found), layouts[0]), found)
        rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror})",
            f"give a CSV file with the columns {','.join(layouts[0])}",
        ) from error
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", "use a CSV file in UTF-8") from error
    if not rows:
        raise InputError(f"{path} has no rows, only a header", "give at least one")
    for line, row in rows:
        if None in row:
            raise InputError(
                f"{path}, line {line}: more fields than the {len(found)} columns {','.join(found)}",
                'quote text that contains commas: "well, fine"',
            )
    return rows


def is_file(path: Path) -> bool:
    """Whether a file exists; unlike `Path.is_file`, never raises."""
    try:
        return path.is_file()
    except OSError:
        return False  # the name is too long, or the directory is not accessible


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def _columns(header: Sequence[str] | None) -> list[str]:
    return list(renamed(dict.fromkeys(header or [], "")))


def _delimiter(text: str, layouts: Sequence[Sequence[str]]) -> str:
    """Return the first delimiter with which the header matches a layout, else the comma."""
    header = next(iter(text.splitlines()), "")
    for delimiter in DELIMITERS:
        found = _columns(next(csv.reader([header], delimiter=delimiter), None))
        if any(set(columns) <= set(found) for columns in layouts):
            return delimiter
    return DELIMITERS[0]


def _check(path: Path, columns: Sequence[str], found: list[str]) -> None:
    missing = [name for name in columns if name not in found]
    if not missing:
        return
    first = ",".join(found)
    shown = repr(first if len(first) <= 80 else f"{first[:77]}...")
    raise InputError(
        f"{path} has no column {missing[0]!r}, it has {shown}",
        f"its first line must name the columns {','.join(columns)}",
    )
