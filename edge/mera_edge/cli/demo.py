"""`mera-edge demo`: the whole pipeline on a sample, with something to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options


def demo(
    media: Annotated[
        Path | None, typer.Argument(help="A video or recording; the bundled sample by default.")
    ] = None,
    track: options.Track = None,
    report: options.Report = None,
    bundle: options.Bundle = None,
) -> None:
    """Show the whole pipeline at work: a live view, then the answer.

    In a terminal the file plays in real time, as a camera and a microphone would give it;
    elsewhere it is read as fast as the machine goes.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import say, stderr, stdout
    from mera_edge.pipeline.mode import Offline
    from mera_edge.pipeline.pipeline import Pipeline
    from mera_edge.sample import CLIP
    from mera_edge.service.clock import RealClock, VirtualClock
    from mera_edge.service.run_loop import run, stop_on_signals
    from mera_edge.sinks import Sink
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.live import LiveView
    from mera_edge.sources.media import MediaFile

    file = CLIP if media is None else media
    console = stderr()
    sinks: list[Sink] = [LiveView(console)] if console.is_terminal else []
    if report is not None:
        sinks.append(HtmlReport(report))
    pipeline = Pipeline(Bundle.open(bundle), Offline())
    pipeline.warm_up()
    clock = RealClock() if console.is_terminal else VirtualClock()
    with stop_on_signals() as stop:
        source = MediaFile(file, tracks=options.tracks(track), stop=stop)
        summary = run(pipeline, [source], clock, sinks, stop, file=file.name)
    print_answer(summary, stdout())
    for notice in source.notices:
        say(notice)
    if report is not None:
        stdout().print(f"  report: {report}", highlight=False)
