"""`mera-edge evaluate`: a bundle against labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mera_edge.cli import options
from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.labelled import Row


def evaluate(
    role: Annotated[str, typer.Argument(help="asr, voice, face, text or fused")],
    manifest: Annotated[
        Path, typer.Option(help="CSV with file,label — text,label for text, file,text for asr.")
    ],
    json: options.Json = False,
    asr: options.Asr = None,
    config: options.Config = None,
    bundle: options.Bundle = None,
) -> None:
    """Measure a bundle on labelled examples, through the stages that a device runs."""
    import json as to_json

    from mera_edge.bundle import Bundle
    from mera_edge.config import load
    from mera_edge.runtime.evaluate import ROLES
    from mera_edge.runtime.evaluate import evaluate as measure

    if role not in ROLES:
        raise InputError(f"{role!r} cannot be evaluated", f"one of {', '.join(ROLES)}")
    settings = load(config, {"bundle": bundle, "recognition": {"model": asr}})
    models = Bundle.open(settings.bundle)
    result = measure(role, manifest, models, _progress, settings.recognition)
    if json:
        print(to_json.dumps(result, ensure_ascii=False))
    else:
        _show(result)


def _progress(rows: Sequence[Row]) -> Sequence[Row]:
    from rich.progress import track

    from mera_edge.cli.console import stderr

    return track(rows, "evaluating", console=stderr(), transient=True)  # type: ignore[return-value]


def _show(result: dict[str, Any]) -> None:
    from rich.table import Table

    from mera_edge.cli.console import stdout

    console = stdout()
    figures = Table("figure", "value", title=f"{result['role']}, n = {result['n']}")
    for name, value in result.items():
        if isinstance(value, float):
            figures.add_row(name, f"{value:.4f}")
    console.print(figures)
    if "per_class" in result:
        classes = Table("label", "precision", "recall", "F1", "support")
        for name, row in result["per_class"].items():
            scores = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
            classes.add_row(name, *scores, str(row["support"]))
        console.print(classes)
    if result.get("unanswered"):
        console.print(f"{result['unanswered']} rows had nothing to go by (no speech, no words)")
