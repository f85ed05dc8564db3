"""`mera-edge predict`: recorded files, as fast as possible."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mera_edge.cli import options
from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.events import Summary


def predict(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Video or audio files; `-` reads stdin.")
    ],
    json: options.Json = False,
    track: options.Track = None,
    report: options.Report = None,
    record: options.Record = None,
    bundle: options.Bundle = None,
) -> None:
    """Recognize emotions in recorded files, faster than real time.

    With --json, prints every event and then one summary per file. A file that cannot be read is
    reported and skipped; the exit code is then 2.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.console import Attempts, say
    from mera_edge.pipeline.pipeline import Observer
    from mera_edge.service.predict import Predictor
    from mera_edge.service.recording import EvidenceRecorder
    from mera_edge.service.signals import stop_on_signals
    from mera_edge.sinks import Sink
    from mera_edge.sinks.html import HtmlReport
    from mera_edge.sinks.jsonl import JsonLines

    if (report or record) and len(files) > 1:
        raise InputError("--report and --record accept only one file", "run predict once per file")
    tracks = options.tracks(track)
    predictor = Predictor(Bundle.open(bundle))
    attempts = Attempts()
    with stop_on_signals() as stop:
        for file in files:
            with attempts.at(file):
                sinks: list[Sink] = [JsonLines("-")] if json else []
                if report is not None:
                    sinks.append(HtmlReport(report))
                observers: list[Observer] = []
                if record is not None:
                    observers.append(EvidenceRecorder(record, predictor.bundle))
                prediction = predictor.predict(
                    file,
                    sinks=sinks,
                    observers=observers,
                    tracks=tracks,
                    stop=stop,
                    keep_events=False,
                )
                if not json:
                    _show(prediction.summary)
                for notice in prediction.notices:
                    say(notice)
            if stop.is_set():
                break
    if attempts.failed:
        raise typer.Exit(InputError.exit_code)


def _show(summary: Summary) -> None:
    from mera_edge.cli.answer import print_answer
    from mera_edge.cli.console import stdout

    print_answer(summary, stdout())
