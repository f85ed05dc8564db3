"""`mera-edge demo`: the whole pipeline on a sample, with a live view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options


def demo(
    media: Annotated[
        Path | None, typer.Argument(help="Video or audio file. Default: the bundled sample.")
    ] = None,
    track: options.Track = None,
    report: options.Report = None,
    bundle: options.Bundle = None,
) -> None:
    """Run the whole pipeline on a sample: a live view, then the result.

    In a terminal the file plays in real time, as live input would. Otherwise it is processed
    faster than real time.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import say, stderr, stdout
    from mera_edge.sample import CLIP
    from mera_edge.service.clock import RealClock
    from mera_edge.service.predict import Predictor
    from mera_edge.service.signals import stop_on_signals
    from mera_edge.sinks import Sink
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.live import LiveView

    file = CLIP if media is None else media
    console = stderr()
    sinks: list[Sink] = [LiveView(console)] if console.is_terminal else []
    if report is not None:
        sinks.append(HtmlReport(report))
    say("loading the models: speech, voice, face, words, fusion")
    predictor = Predictor(Bundle.open(bundle))
    say(f"reading {file.name}: sound and picture, five answers a second")
    with stop_on_signals() as stop:
        prediction = predictor.predict(
            file,
            name=file.name,
            sinks=sinks,
            tracks=options.tracks(track),
            stop=stop,
            clock=RealClock() if console.is_terminal else None,
            keep_events=False,
        )
    print_answer(prediction.summary, stdout())
    for notice in prediction.notices:
        say(notice)
    if report is not None:
        stdout().print(f"  report: {report}", highlight=False)
