"""A Wyoming server until its operator ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.errors import InputError, MissingExtra

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    uri: str,
    bundle: Bundle,
    recognition: RecognitionSettings,
    upstream: str | None,
    say: Callable[[str], None],
) -> None:
    """Answer clients until SIGTERM or Ctrl-C.

    Args:
        uri: ``tcp://HOST:PORT`` or ``unix://PATH``.
        bundle: the models.
        recognition: how speech is recognized.
        upstream: address of another recognizer, before which we are a proxy.
        say: takes a line for the operator.

    Raises:
        InputError: an address cannot be used.
        MissingExtra: the package wyoming is not installed.
    """
    for address in filter(None, (uri, upstream)):
        _check(address)
    try:
        from wyoming.server import AsyncServer
    except ImportError as error:
        raise MissingExtra("wyoming", "wyoming") from error
    with ThreadPoolExecutor(1, "models") as worker:
        connection = _connections(bundle, recognition, upstream, say, worker)
        say(f"answers on {uri}" + (f", before {upstream}" if upstream else ""))
        if urlsplit(uri).scheme == "tcp" and urlsplit(uri).hostname not in _LOOPBACK:
            say("the protocol has no passwords: anyone who can reach this address can use it")
        try:
            asyncio.run(AsyncServer.from_uri(uri).run(connection))
        except OSError as error:
            raise InputError(
                f"cannot listen on {uri} ({error.strerror})", "choose another port: --uri"
            ) from error
        except KeyboardInterrupt:
            say("ends")


def _connections(
    bundle: Bundle,
    recognition: RecognitionSettings,
    upstream: str | None,
    say: Callable[[str], None],
    worker: ThreadPoolExecutor,
) -> Callable[[Any, Any], Any]:
    """Return what answers a client."""
    from mera_edge.service.wyoming.utterance_emotion import UtteranceEmotion

    UtteranceEmotion(bundle).warm_up()
    if upstream is not None:
        from mera_edge.service.wyoming.proxy import ProxyConnection

        return lambda reader, writer: ProxyConnection(bundle, worker, upstream, reader, writer, say)
    from mera_edge.service.wyoming.recognizer import RecognizerConnection, RecognizerPool

    models = RecognizerPool(bundle, recognition, worker)
    return lambda reader, writer: RecognizerConnection(models, reader, writer, say)


def _check(uri: str) -> None:
    try:
        url = urlsplit(uri)
        usable = (url.scheme == "tcp" and url.hostname and url.port) or (
            url.scheme == "unix" and url.path
        )
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{uri} is not a valid address", "write tcp://HOST:PORT or unix://PATH")
