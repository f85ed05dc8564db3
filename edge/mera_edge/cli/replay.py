"""`mera-edge replay`: reproduces the events of a recorded run, without its audio and video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options


def replay(
    recording: Annotated[
        Path,
        typer.Argument(help="Recording made with `run --record FILE` or `predict --record FILE`."),
    ],
    json: options.Json = False,
    report: options.Report = None,
    bundle: options.Bundle = None,
) -> None:
    """Reproduce the events of a recorded run, bit for bit.

    A recording holds the evidence of every tick (voice, face, words), the transcript and the
    timing, but no audio and no video.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import stdout
    from mera_edge.service.recording import replay as replay_events
    from mera_edge.sinks import Sink
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.jsonl import JsonLines

    sinks: list[Sink] = [JsonLines("-")] if json else []
    if report is not None:
        sinks.append(HtmlReport(report))
    summary = replay_events(recording, Bundle.open(bundle), sinks)
    if not json:
        print_answer(summary, stdout())
