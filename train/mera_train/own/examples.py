"""One's own labelled examples, with every fault named by its row."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mera_edge import table
from mera_edge.errors import InputError
from mera_edge.labels import to_emotion
from mera_train.fingerprint import Digests, combined
from mera_train.own import layouts
from mera_train.own.layouts import ExampleRow

FEWEST, FEWEST_OF_A_LABEL = 20, 3
"""Examples, below which a figure would mean nothing."""

Kind = Literal["file", "text"]

TABLE = "examples.csv"
"""Beside a checkpoint: what it learnt from, was chosen by and was tested on."""


SAY = "say what a label means, --label '{first}={known}', or leave it out, --label '{first}='"
"""What to do about labels that are unknown."""


@dataclass(frozen=True)
class Example:
    """One labelled file or text."""

    given: str
    """The text, or the file as its row names it."""
    label: str
    where: str
    """Its row, for messages."""
    folder: Path = Path()
    """Files are named from there."""
    split: str = ""
    """``train``, ``valid`` or ``test``; nothing where nobody said."""
    person: str = ""
    weight: float = 1.0

    @property
    def path(self) -> Path:
        """Of a file."""
        return self.folder / self.given


def read(
    path: Path,
    kind: Kind,
    labels: Sequence[str],
    names: Mapping[str, str],
    faults: list[InputError],
    say: str = SAY,
) -> list[Example]:
    """Read labelled examples.

    Args:
        path: see `mera_train.own.layouts.rows`. Columns: ``file`` or ``text``, ``label``, perhaps
            ``split``, ``person`` and ``weight``.
        kind: what the model gets.
        labels: what it tells apart.
        names: what further labels mean; nothing: such rows are left out.
        faults: takes what is wrong with rows that cannot be used.
        say: what to do about unknown labels, such as ``{first}``.

    Raises:
        InputError: labels are unknown, or a column is missing.
    """
    given = layouts.rows(path, (kind, "label"))
    meaning = meanings(path, given, labels, names, say)
    found = []
    for row in given:
        label = meaning.get(row.columns.get("label", "").strip())
        if label == "":
            continue
        try:
            found.append(_example(row, kind, label))
        except InputError as fault:
            faults.append(fault)
    return found


def enough(path: Path, examples: Sequence[Example]) -> None:
    """Refuse examples that nothing can be learnt from.

    Raises:
        InputError: one label only, or too few.
    """
    counts = Counter(example.label for example in examples)
    if len(counts) == 1:
        raise InputError(
            f"{path}: every example is {examples[0].label!r}",
            "add examples of other labels: nothing can be learnt from one",
        )
    if len(examples) < FEWEST:
        raise InputError(
            f"{path} has only {len(examples)} usable examples",
            f"give at least {FEWEST}, of several people; 200 are a good start",
        )
    rare = [f"{label} ({n})" for label, n in counts.items() if n < FEWEST_OF_A_LABEL]
    if rare:
        raise InputError(
            f"{path} has too few examples of {', '.join(rare)}",
            f"give at least {FEWEST_OF_A_LABEL} of each, or leave a label out: --label NAME=",
        )


def digest(examples: Sequence[Example], kind: Kind, digests: Digests) -> str:
    """Return a digest of everything that is in the examples."""
    return combined(
        (
            *(e.given, e.label, e.split, e.person, e.weight),
            digests.of(e.path) if kind == "file" else "",
        )
        for e in examples
    )


def written(examples: Sequence[Example], kind: Kind, label: str = "label") -> str:
    """Return the examples as a CSV that `read` reads; files by their absolute path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([kind, label, "split", "person", "weight"])
    for e in examples:
        given = str(e.path.absolute()) if kind == "file" else e.given
        writer.writerow([given, e.label, e.split, e.person, f"{e.weight:g}"])
    return text.getvalue()


def _example(row: ExampleRow, kind: Kind, label: str | None) -> Example:
    value = row.columns.get(kind, "").strip()
    if not value or label is None:
        raise InputError(f"{row.where}: {'label' if value else kind} is empty", "fill it in")
    if kind == "file" and not table.is_file(row.folder / value):
        raise InputError(f"{row.where}: {row.folder / value} does not exist", "correct the path")
    person = row.columns.get("person", "").strip()
    return Example(value, label, row.where, row.folder, layouts.split(row), person, _weight(row))


def _weight(row: ExampleRow) -> float:
    said = row.columns.get("weight", "").strip() or "1"
    try:
        weight = float(said)
    except ValueError:
        weight = math.nan
    if not (0 < weight < math.inf):
        raise InputError(f"{row.where}: weight {said!r}", "give a number above 0")
    return weight


def meanings(
    path: Path,
    rows: Sequence[ExampleRow],
    labels: Sequence[str],
    names: Mapping[str, str],
    say: str,
) -> dict[str, str]:
    """Return by label as it is written what it means; an empty one has none.

    Args:
        path, labels, names, say: as `read` takes them.
        rows: with a column ``label``.

    Raises:
        InputError: labels are unknown; names all of them.
    """
    known = {name.casefold(): meant for name, meant in names.items()}
    counts = Counter(row.columns.get("label", "").strip() for row in rows)
    found: dict[str, str] = {}
    unknown = []
    for label in counts:
        meant = known.get(label.casefold(), label)
        if not label or not meant:
            found |= {label: meant} if label else {}
            continue
        try:
            found[label] = meant.lower() if meant.lower() in labels else to_emotion(meant)
            if found[label] not in labels:
                unknown.append((label, ""))
        except InputError as error:
            unknown.append((label, error.remedy))
    if unknown:
        first, near = unknown[0]
        remedy = f"{near} " if "did you mean" in near else ""
        raise InputError(
            _strange(path, rows, counts, [label for label, _ in unknown]),
            f"{remedy}{say.format(first=first, known=labels[1])}; known: {', '.join(labels)}",
        )
    return found


def _strange(
    path: Path, rows: Sequence[ExampleRow], counts: Mapping[str, int], unknown: Sequence[str]
) -> str:
    def shown() -> Iterator[str]:
        for label in unknown[:5]:
            first = next(r.where for r in rows if r.columns.get("label", "").strip() == label)
            yield f"{label!r} ({counts[label]} rows, {first.removeprefix(f'{path}, ')} first)"

    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    return f"{path} has labels that are unknown: {', '.join(shown())}{more}"
