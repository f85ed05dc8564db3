"""`mera-edge run`: live, from a camera and a microphone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options


def run(
    camera: Annotated[
        str | None, typer.Option(help="Index, URL, file, GStreamer pipeline, or `none`.")
    ] = None,
    mic: Annotated[
        str | None, typer.Option(help="`default`, index, name, sound file, or `none`.")
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="Where events go: `-` (stdout) or a .jsonl file; may be given again."),
    ] = None,
    budget_ms: Annotated[
        int | None, typer.Option(help="Time an answer may take to compute.")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=auto, cpu, cuda, onnx-tensorrt or tensorrt; may be given again."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    report: options.Report = None,
    record: options.Record = None,
    bundle: options.Bundle = None,
) -> None:
    """Say live how the person in front of the camera feels, until Ctrl-C.

    A file given as --camera or --mic plays in real time, so that everything can be tried without
    hardware. In a terminal, without --sink, a live view is shown instead of JSON lines.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import stderr
    from mera_edge.config import load
    from mera_edge.runtime.clock import RealClock
    from mera_edge.runtime.pipeline import Pipeline
    from mera_edge.runtime.replay import Recorder
    from mera_edge.runtime.session import run as run_session
    from mera_edge.runtime.session import stop_on_signals
    from mera_edge.runtime.strain import StrainGauge
    from mera_edge.sinks import Sink
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.jsonl import JsonLines
    from mera_edge.sinks.live import LiveView
    from mera_edge.sources.select import select

    settings = load(
        config,
        {
            "camera": camera,
            "mic": mic,
            "sink": tuple(sink) if sink else None,
            "providers": dict(given.partition("=")[::2] for given in provider or ()) or None,
            "budget_ms": budget_ms,
            "bundle": bundle,
        },
    )
    console = stderr()
    live = sys.stdout.isatty() and sink is None
    sinks: list[Sink] = [LiveView(console)] if live else [JsonLines(s) for s in settings.sink]
    if report is not None:
        sinks.append(HtmlReport(report))
    models = Bundle.open(settings.bundle, settings.providers)
    pipeline = Pipeline(models, settings.budget_ms, StrainGauge())
    if record is not None:
        sinks.append(Recorder(record, pipeline, models))
    pipeline.warm_up()
    with stop_on_signals() as stop:
        summary = run_session(
            pipeline,
            select(settings.camera, settings.mic),
            RealClock(),
            sinks,
            stop,
            settings.ticks_per_second,
        )
    print_answer(summary, console)
