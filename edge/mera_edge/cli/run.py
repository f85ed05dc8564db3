"""`mera-edge run`: live, from a camera and a microphone."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from mera_edge.cli import options
from mera_edge.errors import InputError


def run(
    camera: options.Camera = None,
    mic: options.Mic = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="Where events go: `-` (stdout) or a .jsonl file; may be given again."),
    ] = None,
    budget_ms: Annotated[
        int | None, typer.Option(help="Time an answer may take to compute.")
    ] = None,
    provider: options.Provider = None,
    asr: options.Asr = None,
    config: options.Config = None,
    report: options.Report = None,
    record: options.Record = None,
    bundle: options.Bundle = None,
) -> None:
    """Say live how the person in front of the camera feels, until Ctrl-C.

    A file given as --camera or --mic plays in real time, so that everything can be tried without
    hardware. In a terminal, without --sink, a live view is shown instead of JSON lines. Several
    cameras are several rooms. A camera or microphone that is lost is said in the events and
    tried again; SIGHUP reads the configuration again.
    """
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import stderr
    from mera_edge.config import Settings, load
    from mera_edge.runtime.replay import Recorder
    from mera_edge.runtime.service import Service
    from mera_edge.runtime.session import take_signals
    from mera_edge.sinks import Sink
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.live import LiveView

    def read() -> Settings:
        flags = {
            "camera": camera,
            "mic": mic,
            "sink": tuple(sink) if sink else None,
            "providers": options.pairs(provider),
            "budget_ms": budget_ms,
            "bundle": bundle,
            "recognition": {"model": asr},
        }
        return load(config, flags)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    console = stderr()
    live = sys.stdout is not None and sys.stdout.isatty() and sink is None
    with take_signals([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]) as signals:
        service = Service(read(), signals.stop, say)
        if len(service.rooms) > 1 and (report or record):
            raise InputError(
                "a report and a recording are about one room",
                "give one camera, or leave out --report and --record",
            )
        sinks: list[Sink] = [LiveView(console)] if live else service.open_sinks()
        if report is not None:
            sinks.append(HtmlReport(report))
        if record is not None:
            recorder = Recorder(record, service.rooms[0].pipeline, service.models)
            sinks.append(service.guarded(recorder, f"recording {record}"))
        summary = service.run(sinks)
        # A terminal that hangs up has no operator any more; a report is about one run.
        while not (live or report or record) and signals.begin_again():
            summary = service.run(service.reload(read))
    print_answer(summary, console)
