"""`mera-edge evaluate`: evaluates a bundle on labelled examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mera_edge.cli import complete, options
from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.evaluation.labelled_csv import Row


def evaluate(
    role: Annotated[
        str,
        typer.Argument(
            help="Role: asr, voice, face, text, vad, face_detector or fused.",
            autocompletion=complete.evaluated,
        ),
    ],
    manifest: Annotated[
        Path,
        typer.Option(
            help="CSV file with columns file,label; text,label for text; file,text for asr; "
            "with a column person, the intervals are over people."
        ),
    ],
    skip_bad: Annotated[
        int, typer.Option(min=0, help="Number of unusable rows that may be skipped.")
    ] = 0,
    json: options.Json = False,
    asr: options.Asr = None,
    final: Annotated[
        str | None,
        typer.Option(help="For asr, the second pass: `none`, or a pulled model."),
    ] = None,
    published: options.Published = None,
    config: options.Config = None,
    bundle: options.Bundle = None,
) -> None:
    """Evaluate a bundle on labelled examples with the stages that run on the device."""
    import json as to_json

    from mera_edge.bundle import Bundle
    from mera_edge.config import load
    from mera_edge.evaluation.evaluate import EVALUATORS
    from mera_edge.evaluation.evaluate import evaluate as measure

    if role not in EVALUATORS:
        raise InputError(f"unknown role {role!r}", f"choose one of {', '.join(EVALUATORS)}")
    recognition = {"model": asr, "final": final}
    settings = load(
        config,
        {"bundle": bundle, "published": options.pairs(published), "recognition": recognition},
    )
    models = Bundle.open(settings.bundle, published=settings.published)
    result = measure(role, manifest, models, _progress, settings.recognition, skip_bad)
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
    intervals, answered = result["interval_95"], result.get("answered") or {}
    more = ("answered rows only",) if answered else ()
    title = f"{result['role']}, n = {result['n']}"
    if "people" in result:
        title += f", {result['people']} people"
    if "effective_n" in result:
        title += f", effective n = {result['effective_n']}"
    figures = Table("figure", "value", "95 % interval", *more, title=title)
    for name, value in result.items():
        if isinstance(value, float):
            interval = " to ".join(f"{bound:.4f}" for bound in intervals.get(name, ()))
            only = f"{answered[name]:.4f}" if name in answered else ""
            figures.add_row(name, f"{value:.4f}", interval, *[only][: len(more)])
    console.print(figures)
    if "per_class" in result:
        classes = Table("label", "precision", "recall", "F1", "support", "unanswered")
        for name, row in result["per_class"].items():
            scores = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
            classes.add_row(name, *scores, str(row["support"]), str(row["unanswered"]))
        console.print(classes)
    for line in _remarks(result):
        console.print(line)


def _remarks(result: dict[str, Any]) -> Iterator[str]:
    if unanswered := result.get("unanswered"):
        yield f"{unanswered} rows got no answer (no speech, no words, no face) and count as wrong"
    if (counts := result.get("counts", "words")) != "words":
        yield f"wer counts {counts}: this script has no spaces between words"
    if skipped := result["skipped"]:
        yield f"{len(skipped)} rows were skipped:"
        yield from skipped
