"""`mera-edge run`: live, from a camera and a microphone."""

from __future__ import annotations

import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mera_edge.cli import options
from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.cli.console import Notices
    from mera_edge.config import Settings
    from mera_edge.service.service import Service
    from mera_edge.service.signals import Signals

_LOG = logging.getLogger(__name__)


def run(
    camera: options.Camera = None,
    mic: options.Mic = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="Where events go: `-` (stdout), a file to append to, or a URL; repeatable."
        ),
    ] = None,
    budget_ms: Annotated[
        int | None, typer.Option(help="Compute budget per answer, in milliseconds.")
    ] = None,
    provider: options.Provider = None,
    asr: options.Asr = None,
    config: options.Config = None,
    assigned: options.Assigned = None,
    report: options.Report = None,
    record: options.Record = None,
    log_level: Annotated[
        str | None,
        typer.Option(help="Lowest level logged to stderr: debug, info, warning or error."),
    ] = None,
    bundle: options.Bundle = None,
) -> None:
    """Recognize emotions live from a camera and a microphone, until Ctrl-C.

    A file given as --camera or --mic plays in real time, so everything can be tried without
    hardware. In a terminal without --sink, a live view replaces the JSON lines. Each camera is a
    room of its own. A lost camera or microphone is reported in the events and reconnected.

    Signals: SIGHUP reloads the configuration and keeps unchanged rooms running; SIGUSR1 reopens
    log files after rotation; SIGUSR2 pauses the run (cameras and microphones are closed) and
    resumes it.
    """
    from mera_edge.cli.acknowledge import acknowledge
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import Notices, stderr
    from mera_edge.cli.logs import StderrHandler
    from mera_edge.config import load
    from mera_edge.service.signals import Stopped, take_signals

    def read() -> Settings:
        flags = {
            "camera": camera,
            "mic": mic,
            "sink": tuple(sink) if sink else None,
            "providers": options.pairs(provider),
            "budget_ms": budget_ms,
            "bundle": bundle,
            "recognition": {"model": asr},
            "log_level": log_level,
        }
        settings = load(config, flags, assigned=assigned or ())
        log.setLevel(settings.log_level.upper())
        return settings

    live = sys.stdout is not None and sys.stdout.isatty() and sink is None
    end, reload = [signal.SIGINT, signal.SIGTERM], [signal.SIGHUP]
    if live or report or record:
        # Without its terminal a live view has no reader; a report covers only one run.
        end, reload = [*end, *reload], []
    notices, log = Notices(stderr()), logging.getLogger("mera_edge")
    handler = StderrHandler(notices)
    log.addHandler(handler)
    try:
        with take_signals(end, reload, [signal.SIGUSR1], [signal.SIGUSR2]) as signals:
            settings = read()
            if len(settings.rooms) > 1 and (report or record):
                raise InputError(
                    "--report and --record support only one room",
                    "give one camera, or omit --report and --record",
                )
            with signals.stop_at_once():
                acknowledge(settings)
                service = _service(settings, signals, notices, live, report, record)
            summary = service.run(read)
        if not notices.console.is_terminal:  # the transcript must not appear in a journal
            summary = summary.model_copy(update={"transcript": ""})
        notices.show(lambda to: print_answer(summary, to))
    except Stopped:
        _LOG.info("stopped while loading")
    finally:
        log.removeHandler(handler)
        notices.close()


def _service(
    settings: Settings,
    signals: Signals,
    notices: Notices,
    live: bool,
    report: Path | None,
    record: Path | None,
) -> Service:
    """Open the sinks first, since that is quick and may fail, then load the models."""
    from mera_edge.service.control import Control
    from mera_edge.service.recording import EvidenceRecorder
    from mera_edge.service.service import Service
    from mera_edge.service.sink_group import SinkGroup
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.live import LiveView

    began = time.monotonic()
    control = Control()
    sinks = SinkGroup(signals.stop, control)
    if live:
        sinks.add("live view", LiveView(notices.console), waiting=1)
    if report is not None:
        sinks.add(f"report {report}", HtmlReport(report))
    service = Service(settings, signals, sinks, control, configured_sinks=not live)
    if record is not None:
        sinks.observe(f"recording {record}", EvidenceRecorder(record, service.models))
    _LOG.info("ready after %.1f s", time.monotonic() - began)
    return service
