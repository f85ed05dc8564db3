"""`mera-edge transcribe`: speech recognition alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options
from mera_edge.errors import InputError


def transcribe(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Audio or video files; `-` reads stdin.")
    ],
    json: options.Json = False,
    track: options.Track = None,
    asr: options.Asr = None,
    hot_word: Annotated[
        list[str] | None,
        typer.Option(help="Word or phrase to bias recognition towards; repeatable."),
    ] = None,
    config: options.Config = None,
    bundle: options.Bundle = None,
) -> None:
    """Transcribe audio or video files as live audio would be transcribed."""
    import json as to_json

    from mera_edge.asr.factory import open_recognizer
    from mera_edge.asr.transcribe import transcribe_file
    from mera_edge.bundle import Bundle
    from mera_edge.cli.console import Attempts, say, stdout
    from mera_edge.config import load
    from mera_edge.stages.vad import VoiceActivity

    flags = {"bundle": bundle, "recognition": {"model": asr, "hot_words": hot_word}}
    settings = load(config, flags)
    models = Bundle.open(settings.bundle)
    recognizer, activity = open_recognizer(models, settings.recognition), VoiceActivity(models)
    tracks, attempts = options.tracks(track), Attempts()
    for file in files:
        with attempts.at(file):
            transcript = transcribe_file(recognizer, file, tracks, activity)
            if json:
                print(to_json.dumps(transcript.to_dict(str(file)), ensure_ascii=False), flush=True)
            else:
                stdout().print(transcript.text, highlight=False, markup=False)
            for notice in transcript.notices:
                say(notice)
    if attempts.failed:
        raise typer.Exit(InputError.exit_code)
