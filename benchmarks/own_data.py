"""Whether a few own recordings make a better voice encoder for the people that they are of.

    python benchmarks/own_data.py CSV... --out runs/own_data

Each CSV (file,label,person) is a corpus that the shipped encoder never saw. Its people are divided
into thirds. Each third tests once: an encoder that began from the shipped one and learnt from 200
recordings of the others, the shipped one itself, and whichever of the two the training kept, on the
same recordings.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from mera_train.own import layouts
from mera_train.own.command import settings
from mera_train.voice import own
from mera_train.voice.train import Config

EXAMPLES = 200


def main(tables: list[Path], out: Annotated[Path, typer.Option()]) -> None:
    """Print, as Markdown, the UAR of each on every third and over all."""
    print("| corpus | third | n | shipped UAR | learnt UAR | kept | kept UAR |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found: dict[str, list[dict[str, Any]]] = {table.stem: [] for table in tables}
    for number in range(3):
        for table in tables:
            metrics = _third(table, number, out / table.stem / str(number))
            found[table.stem].append(metrics)
            _row(table.stem, str(number + 1), [metrics])
    for name, every in found.items():
        _row(name, "all", every)


def _third(table: Path, number: int, out: Path) -> dict[str, Any]:
    rows = list(layouts.rows(table, ("file", "label")))
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
    data = out / f"{table.stem}.csv"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = settings("voice", Config, None, data, skip_bad=len(lines) // 20)
    own.train(config, data, out / "voice", resume=True)
    metrics: dict[str, Any] = json.loads((out / "voice" / "metrics.json").read_text())
    return {"learnt": metrics["test"], **metrics}


def _row(corpus: str, third: str, found: list[dict[str, Any]]) -> None:
    shipped, learnt, kept = (
        _uar([m[name] for m in found]) for name in ("shipped", "learnt", "test")
    )
    n = sum(metrics["test"]["n"] for metrics in found)
    which = {"learnt" if m["comparison"]["kept"] else "shipped" for m in found}
    print(
        f"| {corpus} | {third} | {n} | {shipped:.1f} | {learnt:.1f} | {' or '.join(sorted(which))} "
        f"| {kept:.1f} |",
        flush=True,
    )


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
