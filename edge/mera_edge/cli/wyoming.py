"""`mera-edge wyoming`: speech to text for Home Assistant, with the emotion of what is said."""

from __future__ import annotations

from typing import Annotated

import typer

from mera_edge.cli import options


def wyoming(
    uri: Annotated[
        str, typer.Option(help="Where to listen: tcp://HOST:PORT or unix://PATH.")
    ] = "tcp://127.0.0.1:10300",
    upstream: Annotated[
        str | None,
        typer.Option(help="Another recognizer, tcp://HOST:PORT, that transcribes instead."),
    ] = None,
    asr: options.Asr = None,
    config: options.Config = None,
    bundle: options.Bundle = None,
) -> None:
    """Serve the Wyoming protocol: transcribe speech and add its emotion.

    The emotion is in the context of the transcript: emotion, confidence, valence, why. With
    --upstream, the transcript of another recognizer is passed on unchanged, with at most 30 ms of
    delay.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.console import say
    from mera_edge.config import load
    from mera_edge.service.wyoming.server import serve

    settings = load(config, {"bundle": bundle, "recognition": {"model": asr}})
    opened = Bundle.open(settings.bundle, settings.providers)
    serve(uri, opened, settings.recognition, upstream, say)
