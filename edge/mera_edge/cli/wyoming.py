"""`mera-edge wyoming`: speech to text for Home Assistant, with the emotion of the utterance."""

from __future__ import annotations

from typing import Annotated

import typer

from mera_edge.cli import options


def wyoming(
    uri: Annotated[
        str | None,
        typer.Option(
            help="Where to listen: tcp://HOST:PORT or unix://PATH.",
            show_default="tcp://127.0.0.1:10300",
        ),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(help="Another recognizer, tcp://HOST:PORT, that transcribes instead."),
    ] = None,
    zeroconf: Annotated[
        bool | None,
        typer.Option(
            "--zeroconf/--no-zeroconf",
            help="Announce the service on the local network, so that Home Assistant discovers it.",
            show_default="off",
        ),
    ] = None,
    asr: options.Asr = None,
    config: options.Config = None,
    bundle: options.Bundle = None,
) -> None:
    """Serve the Wyoming protocol: transcribe speech and add its emotion.

    The emotion is in the context of the transcript: emotion, confidence, valence, why. With
    --upstream, the transcript of another recognizer is passed on unchanged, at most 30 ms later.
    The first three options can also be set in the [wyoming] table of the configuration.
    """
    from mera_edge.bundle import Bundle
    from mera_edge.cli.console import say
    from mera_edge.config import load
    from mera_edge.service.wyoming.server import serve

    here = {"uri": uri, "upstream": upstream, "zeroconf": zeroconf}
    flags = {"bundle": bundle, "recognition": {"model": asr}, "wyoming": here}
    settings = load(config, flags)
    opened = Bundle.open(settings.bundle, settings.providers, settings.published)
    serve(settings.wyoming, opened, settings.recognition, say)
