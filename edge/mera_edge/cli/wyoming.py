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
        typer.Option(help="Another recognizer, tcp://HOST:PORT: its words, our emotion."),
    ] = None,
    asr: options.Asr = None,
    config: options.Config = None,
    bundle: options.Bundle = None,
) -> None:
    """Answer clients of the Wyoming protocol with the words of what they send and its emotion.

    The emotion is in the transcript's context: emotion, confidence, valence, why. With --upstream
    another recognizer's transcript goes through untouched and comes 30 ms later at most.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.console import say
    from mera_edge.config import load
    from mera_edge.service.wyoming.server import serve

    settings = load(config, {"bundle": bundle, "recognition": {"model": asr}})
    opened = Bundle.open(settings.bundle, settings.providers)
    serve(uri, opened, settings.recognition, upstream, say)
