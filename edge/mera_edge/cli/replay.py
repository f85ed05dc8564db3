"""`mera-edge replay`: the events of a recorded run again, without its sound and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options


def replay(
    recording: Annotated[Path, typer.Argument(help="A file written with `run --record FILE`.")],
    json: options.Json = False,
    report: options.Report = None,
    bundle: options.Bundle = None,
) -> None:
    """Give the events of a recorded run again, bit for bit.

    A recording holds what voice, face and words said in every tick, the transcript and the times,
    but neither sound nor pictures.
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
