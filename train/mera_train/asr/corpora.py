"""Speech with transcripts: archives, manifests, and the layouts of two corpora."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mera_edge import table
from mera_edge.bundle.load import SPOILED
from mera_edge.errors import InputError
from mera_train.own import layouts
from mera_train.own.layouts import ExampleRow

SPLITS = {"": "train", "train": "train", "valid": "dev", "test": "test"}
"""Splits by the result of `mera_train.own.layouts.split`."""

DEV_EVERY = 12
"""Every twelfth speaker is held out for dev if the corpus has no dev split."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording: location, transcript, speaker."""

    corpus: str
    """The name of an archive, else the directory."""
    file: str
    text: str
    speaker: str
    split: str
    where: str = field(default="", compare=False)
    """The manifest and its line, for messages."""


def read(data: Path, corpus: str, skipped: table.Skipped | None = None) -> list[Utterance]:
    """Read a corpus.

    Args:
        data: the directory of the archives.
        corpus: ``NAME`` for ``data/NAME.zip`` with a ``manifest.csv``; or a path: a manifest (.csv
            or .jsonl; file, text, optional speaker and split; relative paths), the directory of
            LibriSpeech (``SPEAKER/CHAPTER/*.trans.txt``) or of AISHELL-1 (``transcript``, ``wav``).
        skipped: receives unusable rows of a manifest; without it, such rows are errors.

    Returns:
        Utterances with the split ``train``, ``dev`` or ``test``. A missing ``dev`` is made of whole
        speakers, or of every twelfth utterance of a single speaker. An archive without a column
        ``split`` is for training only.

    Raises:
        InputError: the corpus is missing, or a row is unusable; the message names it.
    """
    path = Path(corpus)
    if path.suffix in layouts.FILES:
        return _with_dev(list(_manifest(path, skipped or table.Skipped())))
    if path.is_file():
        raise InputError(f"{path} is not a manifest", "manifests are .csv, .tsv or .jsonl files")
    if path.is_dir():
        found = list(_aishell(path) if (path / "transcript").is_dir() else _librispeech(path))
        if not found:
            raise InputError(
                f"{path} contains no transcripts", "use the layout of LibriSpeech or AISHELL-1"
            )
        return _with_dev(found)
    rows = [_archived(corpus, row) for row in archived(data, corpus)]
    if not any(row.split for row in rows):
        return [replace(row, split="train") for row in rows]
    return _with_dev(rows)


def _archived(corpus: str, row: Mapping[str, str]) -> Utterance:
    speaker = row.get("speaker", corpus)
    return Utterance(corpus, row["file"], row["text"], speaker, row.get("split", ""))


def location(data: Path, corpus: str) -> Path:
    """Return the directory or archive with the files of a corpus."""
    return Path(corpus) if Path(corpus).is_dir() else data / f"{corpus}.zip"


def archived(data: Path, corpus: str) -> list[dict[str, str]]:
    """Return the rows of an archive's ``manifest.csv``."""
    path = data / f"{corpus}.zip"
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give the folder of the corpora with --data")
    try:
        with zipfile.ZipFile(path) as archive, archive.open("manifest.csv") as file:
            rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8"), restval=""))
    except (*SPOILED, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})", "it needs a manifest.csv") from error
    if not rows or "file" not in rows[0]:
        raise InputError(f"manifest.csv of {path} has no column 'file', or no rows", "add them")
    return rows


def _manifest(path: Path, skipped: table.Skipped) -> Iterator[Utterance]:
    for row in layouts.rows(path, ("file", "text")):
        try:
            yield _utterance(row)
        except InputError as fault:
            skipped.add(fault)


def _utterance(row: ExampleRow) -> Utterance:
    given = {name: row.columns.get(name, "").strip() for name in ("file", "text")}
    if missing := [name for name, value in given.items() if not value]:
        remedy = f"every row needs file and text; this one has {', '.join(row.columns)}"
        raise InputError(f"{row.where}: {missing[0]} is empty", remedy)
    if not table.is_file(row.folder / given["file"]):
        raise InputError(
            f"{row.where}: {given['file']} does not exist", "paths are relative to the manifest"
        )
    split = SPLITS[layouts.split(row)]
    person, text = row.columns.get("person", ""), _spoken(given["text"])
    return Utterance(str(row.folder), given["file"], text, person, split, row.where)


def _librispeech(folder: Path) -> Iterator[Utterance]:
    for transcripts in sorted(folder.rglob("*.trans.txt")):
        for line in transcripts.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            file = transcripts.with_name(f"{name}.flac").relative_to(folder)
            yield Utterance(str(folder), str(file), _spoken(text), name.split("-")[0], "train")


def _aishell(folder: Path) -> Iterator[Utterance]:
    said = {}
    for transcripts in sorted((folder / "transcript").glob("*.txt")):
        for line in transcripts.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            said[name] = "".join(text.split())
    for file in sorted((folder / "wav").rglob("*.wav")):
        if file.stem in said:
            split, speaker = file.relative_to(folder / "wav").parts[:2]
            relative = str(file.relative_to(folder))
            yield Utterance(str(folder), relative, said[file.stem], speaker, split)


def _spoken(text: str) -> str:
    return " ".join(text.lower().split())


def _with_dev(utterances: list[Utterance]) -> list[Utterance]:
    if any(utterance.split == "dev" for utterance in utterances):
        return utterances
    speakers = sorted({u.speaker for u in utterances if u.split == "train"})
    if len(speakers) > 1:
        dev = set(speakers[::DEV_EVERY])
        return [
            replace(u, split="dev") if u.split == "train" and u.speaker in dev else u
            for u in utterances
        ]
    return [
        replace(u, split="dev") if u.split == "train" and number % DEV_EVERY == 0 else u
        for number, u in enumerate(utterances)
    ]
