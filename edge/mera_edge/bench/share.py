"""A board's results for sharing: an HTML page, and a JSON file for comparisons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mera_edge import __version__
from mera_edge.bench.bench import Result
from mera_edge.bench.report import report
from mera_edge.errors import InputError
from mera_edge.host.board import board

SCHEMA = "mera-edge/board/1"


def share(page: Path, results: Sequence[Result]) -> Path:
    """Write the page, and a JSON file next to it.

    Paths are reduced to file names; nothing identifies the owner of the board.

    Returns:
        The path of the JSON file: one object with the board and the figures of every bundle, as in
        `bench --json`.

    Raises:
        InputError: a file cannot be written.
    """
    named = [
        {**r.facts, "bundle": Path(r.facts["bundle"]).name, "clip": Path(r.facts["clip"]).name}
        for r in results
    ]
    shown = [Result(facts, r.measured) for facts, r in zip(named, results, strict=True)]
    facts = {"schema": SCHEMA, "version": __version__, "board": board(), "results": named}
    report(page, shown)
    beside = page.with_suffix(".json")
    try:
        beside.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{beside} cannot be written ({error})", "choose another file") from error
    return beside
