"""Whether a few own examples make a better encoder for the people that they are of.

    python benchmarks/own_data.py CSV... --role voice --out runs/own_data

Each CSV (file,label,person) is a corpus that the shipped encoder never saw. Its people are divided
into thirds. Each third tests once: an encoder that began from the shipped one and learnt from 200
examples of the others, the shipped one itself, and whichever of the two the training kept, on the
same examples.
"""

from __future__ import annotations

import importlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from mera_edge import table
from mera_edge.metrics.confusion import draws, figures
from mera_train.own import layouts
from mera_train.own.command import settings
from mera_train.own.measure import ANSWERS

EXAMPLES = 200


def main(
    tables: list[Path],
    out: Annotated[Path, typer.Option()],
    role: Annotated[str, typer.Option(help="voice, face or text.")] = "voice",
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
            run = _third(role, path, number, out / path.stem / str(number))
            runs[path.stem].append(run)
            _row(path.stem, str(number + 1), [run])
    for name, every in runs.items():
        _row(name, "all", every)


def _third(role: str, source: Path, number: int, out: Path) -> Path:
    module, own = (
        importlib.import_module(f"mera_train.{role}.{name}") for name in ("train", "own")
    )
    rows = list(layouts.rows(source, ("file", "label")))
    people = sorted({row.columns["person"] for row in rows})
    random.Random(0).shuffle(people)
    tested = set(people[number::3])
    others = [row for row in rows if row.columns["person"] not in tested]
    learnt = random.Random(number).sample(others, min(EXAMPLES, len(others)))
    out.mkdir(parents=True, exist_ok=True)
    lines = ["file,label,person,split"]
    for row in [*learnt, *(row for row in rows if row.columns["person"] in tested)]:
        columns = row.columns
        split = "test" if columns["person"] in tested else ""
        file = (row.folder / columns["file"]).absolute()
        lines.append(f"{file},{columns['label']},{columns['person']},{split}")
    data = out / f"{source.stem}.csv"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = settings(role, module.Config, None, data, skip_bad=len(lines) // 20)
    own.train(config, data, out / role, resume=True)
    return out / role


def _row(corpus: str, third: str, runs: list[Path]) -> None:
    found: list[dict[str, Any]] = [json.loads((r / "metrics.json").read_text()) for r in runs]
    shipped, learnt, kept = (
        _uar([m.get(name) or m["test"] for m in found]) for name in ("shipped", "learnt", "test")
    )
    n = sum(metrics["test"]["n"] for metrics in found)
    which = {"learnt" if m["comparison"]["kept"] else "shipped" for m in found}
    people, low, high = _difference(runs)
    print(
        f"| {corpus} | {third} | {n} | {people} | {shipped:.1f} | {learnt:.1f} "
        f"| {' or '.join(sorted(which))} | {kept:.1f} | {low:+.1f} to {high:+.1f} |",
        flush=True,
    )


def _difference(runs: list[Path]) -> tuple[int, float, float]:
    """Return how many people tested, and the 95 % interval of what is kept minus the shipped.

    By bootstrap over people: the recordings or pictures of one person are not independent.
    """
    rows = [row for run in runs for _, row in table.read(run / ANSWERS, ("label", "answer"))]
    labels, people = (sorted({row[name] for row in rows}) for name in ("label", "person"))
    cells = np.zeros((2, len(people), len(labels), len(labels) + 1))
    for row in rows:
        person, label = people.index(row["person"]), labels.index(row["label"])
        for which, name in enumerate(("answer", "shipped")):
            answer = labels.index(row[name]) if row[name] else len(labels)
            cells[which, person, label, answer] += 1
    drawn = np.tensordot(draws(len(people)), cells, (1, 1))
    kept, shipped = (figures(d[..., :-1], d[..., -1])["uar"] for d in np.moveaxis(drawn, 1, 0))
    low, high = 100 * np.percentile(kept - shipped, (2.5, 97.5))
    return len(people), low, high


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
