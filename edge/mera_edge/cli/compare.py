"""`mera-edge compare`: models side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import complete, options
from mera_edge.errors import InputError

_COLUMNS = ("wer", "cer", "accuracy", "uar", "macro_f1", "ece")


def compare(
    role: Annotated[
        str,
        typer.Argument(
            help="Role: asr, voice, face, text, vad or face_detector.",
            autocompletion=complete.evaluated,
        ),
    ],
    names: Annotated[
        list[str],
        typer.Argument(
            help="`ours` (the bundle's model) and pulled models; see `models list`.",
            autocompletion=complete.published,
        ),
    ],
    manifest: Annotated[Path, typer.Option(help="CSV file, as for `evaluate`.")],
    json: options.Json = False,
    bundle: options.Bundle = None,
) -> None:
    """Compare published models with the bundle's on the same labelled examples."""
    import json as to_json
    from dataclasses import asdict

    from rich.table import Table

    from mera_edge.cli.console import stdout
    from mera_edge.evaluation.compare import compare as run
    from mera_edge.evaluation.evaluate import EVALUATORS

    if role not in EVALUATORS:
        raise InputError(f"unknown role {role!r}", f"choose one of {', '.join(EVALUATORS)}")
    found = run(role, names, manifest, bundle)
    if json:
        for one in found:
            print(to_json.dumps(asdict(one), ensure_ascii=False))
        return
    columns = [name for name in _COLUMNS if any(name in one.figures for one in found)]
    title = f"{role}, n = {found[0].figures['n']}"
    table = Table("model", *columns, "CPU s", "memory, MB", title=title)
    for one in found:
        intervals = one.figures.get("interval_95") or {}
        cells = [_cell(one.figures.get(name), intervals.get(name)) for name in columns]
        table.add_row(one.name, *cells, f"{one.cpu_s:.1f}", f"{one.memory_mb:.0f}")
    stdout().print(table)


def _cell(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return ""
    bounds = "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
    return f"{value:.3f}{bounds}"
