"""The tables of docs/results/README.md and README.md, from docs/results/figures.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from mera_train.figures import NAMES, PERCENT, intervals_of, markdown, shown


class Headline(BaseModel):
    """A row of README.md."""

    model_config = ConfigDict(extra="forbid")

    role: str
    test: str
    metric: str = ""
    against: str = ""
    command: str = Field("", description="that measures it; empty: `results pages` of the role")


class Entry(BaseModel):
    """A row of docs/results/README.md."""

    model_config = ConfigDict(extra="forbid")

    page: str = Field("", description="where its command is; empty: as the entry before")
    measure: str
    origin: tuple[str, str, str] | None = Field(
        None, alias="from", description="role, test, figure in metrics.json"
    )
    result: str = ""
    n: int | str = Field("", description="number of examples, or how often it was measured")
    effective_n: int | str = Field("", description="where examples are not independent, or why not")
    interval: str = ""
    no_interval: str = Field("", description="why there is none")
    goal: str = ""
    reached: bool | None = None
    readme: Headline | None = None


def read(path: Path, tests: Mapping[str, Mapping[str, Any]]) -> list[Entry]:
    """Return the entries, with the values of those from checkpoints.

    Args:
        path: figures.yaml.
        tests: results by role and path in ``metrics.json``.
    """
    entries = [Entry(**row) for row in yaml.safe_load(path.read_text(encoding="utf-8"))]
    found: list[Entry] = []
    for entry in entries:
        page = entry.page or found[-1].page
        found.append(_measured(entry, tests).model_copy(update={"page": page}))
    return found


def _measured(entry: Entry, tests: Mapping[str, Mapping[str, Any]]) -> Entry:
    if entry.origin is None:
        return entry
    role, place, figure = entry.origin
    test, unit = tests[role][place], " %" if figure in PERCENT else ""
    low, high = (shown(figure, bound) for bound in intervals_of(test)[figure])
    value = shown(figure, test[figure])
    reached = float(value) >= float(entry.goal.removesuffix(" %")) if entry.goal else None
    return entry.model_copy(
        update={
            "result": f"{value}{unit}",
            "n": test["n"],
            "effective_n": test.get("effective_n", "too few people" if "people" in test else ""),
            "interval": f"{low} to {high}",
            "reached": reached,
        }
    )


def with_tables(readme: Path, results: Path, entries: Sequence[Entry]) -> dict[Path, str]:
    """Return the text of both files with updated tables between their marks."""
    return {
        readme: _filled(readme, _headlines(entries)),
        results: _filled(results, _goals(entries)),
    }


def _headlines(entries: Sequence[Entry]) -> str:
    rows = []
    for entry in entries:
        if row := entry.readme:
            metric = NAMES[entry.origin[2]] if entry.origin else row.metric
            command = row.command or f"mera-edge results pages {entry.page}"
            rows.append(
                [
                    *(row.role, row.test, metric, entry.result, *_certainty(entry)),
                    *(row.against, f"[`{command}`](docs/results/{entry.page}.md)"),
                ]
            )
    head = ["role", "test set", "metric", "this project", *_CERTAINTY]
    return markdown([*head, "baseline", "command"], rows)


def _goals(entries: Sequence[Entry]) -> str:
    rows, before = [], ""
    verdicts = {True: "reached", False: "**missed**", None: ""}
    for entry in entries:
        page = "" if entry.page == before else f"[{entry.page}]({entry.page}.md)"
        before = entry.page
        rows.append(
            [
                *(page, entry.measure, entry.result, *_certainty(entry)),
                *(entry.goal, verdicts[entry.reached]),
            ]
        )
    return markdown(["page", "measure", "result", *_CERTAINTY, "goal", ""], rows)


_CERTAINTY = ("95 % interval", "n", "effective n")


def _certainty(entry: Entry) -> tuple[str, str, str]:
    n, effective = (c if isinstance(c, str) else f"{c:,}" for c in (entry.n, entry.effective_n))
    return entry.interval or entry.no_interval, n, effective


def _filled(path: Path, table: str) -> str:
    marks = r"(<!-- figures: made by `make results` -->\n).*?(<!-- /figures -->)"
    text, found = re.subn(
        marks, lambda m: f"{m[1]}{table}{m[2]}", path.read_text(encoding="utf-8"), flags=re.S
    )
    if found != 1:
        raise SystemExit(f"{path} has no place for the table of figures")
    return text
