"""The layouts that people have their examples in, as rows of columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mera_edge import table
from mera_edge.errors import InputError
from mera_edge.labels import to_emotion

SPLITS = {
    **{"": "", "train": "train", "training": "train", "test": "test"},
    **dict.fromkeys(("valid", "dev", "val", "validation"), "valid"),
}
"""By what people call a split; ``""``: not said."""

FILES = (".csv", ".tsv", ".jsonl")
TABLES = ("label.csv", "metadata.csv", "metadata.jsonl", "manifest.csv")
"""Of a folder, its table: CH-SIMS's, Hugging Face's (``imagefolder``, ``audiofolder``), ours."""


@dataclass(frozen=True)
class ExampleRow:
    """One row as it was given."""

    where: str
    """For messages: the table and its line, or the file."""
    folder: Path
    """Files are named from there."""
    columns: Mapping[str, str]


def rows(path: Path, *layouts: tuple[str, ...]) -> list[ExampleRow]:
    """Read the rows of a CSV, of JSON Lines, or of a folder.

    A folder has one of `TABLES`, or a subfolder for every label (``happy/1.png``), perhaps inside
    one for every split (``train/happy/1.png``).

    Args:
        path: a ``.csv`` or ``.jsonl`` file, or a folder.
        layouts: the columns that it must have, as in `mera_edge.table.read`.

    Raises:
        InputError: nothing of the kind is there, or a column is missing.
    """
    if path.is_dir():
        for name in TABLES:
            if (path / name).is_file():
                return rows(path / name, *layouts)
        found = list(_labelled_folders(path))
        if not found or "label" not in layouts[0]:
            raise InputError(
                f"{path} has neither {', '.join(TABLES)} nor one folder per label",
                "give a CSV file, or a folder that contains one",
            )
        return found
    if path.suffix == ".jsonl":
        return [
            ExampleRow(f"{path}, line {n}", path.parent, row) for n, row in _objects(path, layouts)
        ]
    if path.suffix not in FILES:
        raise InputError(
            f"{path} is not a table of examples", "give a .csv, .tsv or .jsonl file, or a folder"
        )
    lines = table.read(path, *layouts)
    return [ExampleRow(f"{path}, line {line}", path.parent, row) for line, row in lines]


def is_of_examples(folder: Path) -> bool:
    """Whether a folder has one of `TABLES`, or folders that are called as labels or splits are."""
    if any((folder / name).is_file() for name in TABLES):
        return True
    inside = [path.name for path in folder.iterdir() if path.is_dir()]
    return any(name.lower() in SPLITS or _is_emotion(name) for name in inside)


def _is_emotion(name: str) -> bool:
    try:
        to_emotion(name)
    except InputError:
        return False
    return True


def split(given: ExampleRow) -> str:
    """Return ``train``, ``valid`` or ``test`` of a row, or nothing where it does not say.

    Raises:
        InputError: it says something else.
    """
    said = (given.columns.get("split") or given.columns.get("mode") or "").strip()
    if said.lower() not in SPLITS:
        raise InputError(
            f"{given.where}: unknown split {said!r}", "use train, valid (or dev) or test"
        )
    return SPLITS[said.lower()]


def _labelled_folders(path: Path) -> Iterator[ExampleRow]:
    inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    named = {p.name.lower() for p in inside}
    splits = bool(named) and named <= set(SPLITS)
    for folder in inside:
        for label in sorted(p for p in folder.iterdir() if p.is_dir()) if splits else [folder]:
            for file in sorted(label.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    columns = {"file": file.relative_to(path).as_posix(), "label": label.name}
                    if splits:
                        columns["split"] = folder.name
                    yield ExampleRow(str(file), path, columns)


def _objects(
    path: Path, layouts: tuple[tuple[str, ...], ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "give a UTF-8 file") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number}: not JSON ({error})", "give one object per line"
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: not a JSON object", "give one per line")
        columns = {name: "" if value is None else str(value) for name, value in row.items()}
        yield number, table.renamed(columns)
