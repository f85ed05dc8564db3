"""Whether a few own examples make a better encoder for the people that they are of.

    python benchmarks/own_data.py CSV... --role voice --out runs/own_data

Each CSV (file or text, label, perhaps person) is a corpus that the shipped encoder never saw. Its
people, or else its rows, are divided into thirds. Each third tests once: an encoder that began from
the shipped one and learnt from 200 examples of the others, the shipped one itself, and whichever of
the two the training kept, on the same examples.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from mera_edge import table
from mera_edge.metrics.confusion import paired_interval
from mera_train.own import layouts
from mera_train.own.command import settings
from mera_train.own.measure import ANSWERS

EXAMPLES = 200


def main(
    tables: list[Path],
    out: Annotated[Path, typer.Option()],
    role: Annotated[str, typer.Option(help="voice, face or text.")] = "voice",
    begin: Annotated[str, typer.Option("--from", help="default or nothing.")] = "default",
    label: Annotated[list[str] | None, typer.Option(help="NAME=EMOTION, or NAME=.")] = None,
) -> None:
    """Print, as Markdown, the UAR of each on every third and over all."""
    print(
        "| corpus | third | n | people | shipped UAR | learnt UAR | kept | kept UAR "
        "| kept - shipped, 95 % interval |"
    )
    print(f"|{' --- |' * 9}")
    runs: dict[str, list[Path]] = {path.stem: [] for path in tables}
    for number in range(3):
        for path in tables:
            run = _third(role, path, number, out / path.stem / str(number), begin, label or ())
            runs[path.stem].append(run)
            _row(path.stem, str(number + 1), [run])
    for name, every in runs.items():
        _row(name, "all", every)


def _third(
    role: str, source: Path, number: int, out: Path, begin: str, meant: Sequence[str]
) -> Path:
    module, own = (
        importlib.import_module(f"mera_train.{role}.{name}") for name in ("train", "own")
    )
    kind = "text" if role == "text" else "file"
    left_out = {said[:-1] for said in meant if said.endswith("=")}
    rows = [r for r in layouts.rows(source, (kind, "label")) if r.columns["label"] not in left_out]
    whose = [row.columns.get("person") or f"row {n}" for n, row in enumerate(rows)]
    people = sorted(set(whose))
    random.Random(0).shuffle(people)
    tested = set(people[number::3])
    others = [row for row, who in zip(rows, whose, strict=True) if who not in tested]
    learnt = random.Random(number).sample(others, min(EXAMPLES, len(others)))
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([kind, "label", "person", "split"])
    test = [row for row, who in zip(rows, whose, strict=True) if who in tested]
    for row, split in [*((r, "") for r in learnt), *((r, "test") for r in test)]:
        value = row.columns[kind]
        given = value if kind == "text" else str((row.folder / value).absolute())
        writer.writerow([given, row.columns["label"], row.columns.get("person", ""), split])
    data = out / f"{source.stem}.csv"
    data.write_text(text.getvalue(), encoding="utf-8")
    bad = (len(learnt) + len(test)) // 20
    config = settings(role, module.Config, None, data, begin, labels=meant, skip_bad=bad)
    own.train(config, data, out / role, resume=True)
    return out / role


def _row(corpus: str, third: str, runs: list[Path]) -> None:
    found: list[dict[str, Any]] = [json.loads((r / "metrics.json").read_text()) for r in runs]
    shipped, learnt, kept = (
        _uar([m.get(name) or m["test"] for m in found]) for name in ("shipped", "learnt", "test")
    )
    n = sum(metrics["test"]["n"] for metrics in found)
    compared = [m.get("comparison") for m in found]
    which = {"learnt" if not c or c["kept"] else "shipped" for c in compared}
    people, low, high = _difference(runs)
    print(
        f"| {corpus} | {third} | {n} | {people} | {shipped:.1f} | {learnt:.1f} "
        f"| {' or '.join(sorted(which))} | {kept:.1f} | {low:+.1f} to {high:+.1f} |",
        flush=True,
    )


def _difference(runs: list[Path]) -> tuple[int, float, float]:
    """Return how many people tested, and the 95 % interval of what is kept minus the shipped.

    By bootstrap over people, as the recordings of one person are not independent; where nobody is
    named, over rows.
    """
    rows = [row for run in runs for _, row in table.read(run / ANSWERS, ("label", "answer"))]
    for number, row in enumerate(rows):
        row["person"] = row["person"] or f"row {number}"
    labels, people = (sorted({row[name] for row in rows}) for name in ("label", "person"))
    cells = np.zeros((2, len(people), len(labels), len(labels) + 1))
    for row in rows:
        person, label = people.index(row["person"]), labels.index(row["label"])
        for which, name in enumerate(("answer", "shipped")):
            answer = labels.index(row[name]) if row[name] else len(labels)
            cells[which, person, label, answer] += 1
    low, high = paired_interval(cells, "uar")
    return len(people), 100 * low, 100 * high


def _uar(parts: list[dict[str, Any]]) -> float:
    hits: Counter[str] = Counter()
    support: Counter[str] = Counter()
    for part in parts:
        # A third may lack a label, which then counts in none.
        for label, row in part["per_class"].items():
            hits[label] += round(row["recall"] * row["support"])
            support[label] += row["support"]
    return 100 * sum(hits[label] / support[label] for label in support) / len(support)


if __name__ == "__main__":
    typer.run(main)
