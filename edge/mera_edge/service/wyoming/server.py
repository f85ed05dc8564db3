"""A Wyoming server until its operator ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings, WyomingSettings
from mera_edge.errors import InputError, MissingExtra
from mera_edge.service.systemd.notify import send, watchdog_s
from mera_edge.service.wyoming.announcement import announced, place

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    settings: WyomingSettings,
    bundle: Bundle,
    recognition: RecognitionSettings,
    say: Callable[[str], None],
) -> None:
    """Answer clients until SIGTERM or Ctrl-C. systemd is told that clients are answered.

    Args:
        settings: where to listen, before which other recognizer, and whether to announce it.
        bundle: the models.
        recognition: how speech is recognized.
        say: takes a line for the operator.

    Raises:
        InputError: an address cannot be used.
        Unreachable: it is to be announced, and there is no network.
        MissingExtra: the package wyoming, or zeroconf, is not installed.
    """
    uri, upstream = settings.uri, settings.upstream
    for address in filter(None, (uri, upstream)):
        _check(address)
    if settings.zeroconf:
        place(uri)
    try:
        import wyoming.server  # noqa: F401
    except ImportError as error:
        raise MissingExtra("wyoming", "wyoming") from error
    with ThreadPoolExecutor(1, "models") as worker:
        connection = _connections(bundle, recognition, upstream, say, worker)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_answer(settings, connection, worker, say))
        say("ends")


async def _answer(
    settings: WyomingSettings,
    connection: Callable[[Any, Any], Any],
    worker: Executor,
    say: Callable[[str], None],
) -> None:
    from wyoming.server import AsyncServer

    uri, over = settings.uri, asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    server = AsyncServer.from_uri(uri)
    try:
        await server.start(connection)
    except OSError as error:
        # What asyncio makes of the system's own words is longer, and no clearer.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise InputError(
            f"cannot listen on {uri} ({why})",
            "choose a free port and an address of this machine: --uri tcp://127.0.0.1:10300",
        ) from error
    async with announced(uri) if settings.zeroconf else contextlib.nullcontext():
        say(f"answers on {uri}" + (f", before {settings.upstream}" if settings.upstream else ""))
        if urlsplit(uri).scheme == "tcp" and urlsplit(uri).hostname not in _LOOPBACK:
            say("the protocol has no passwords: anyone who can reach this address can use it")
        if settings.zeroconf:
            say("announced on the local network (multicast DNS)")
        send(f"READY=1\nSTATUS=answers on {uri}")
        alive = asyncio.create_task(_tell_alive(worker))
        await over.wait()
        alive.cancel()
        send("STOPPING=1")
        await server.stop()


async def _tell_alive(worker: Executor) -> None:
    """Tell systemd's watchdog of it while both the loop and the models' thread get on."""
    limit_s = watchdog_s()
    while limit_s is not None:
        await asyncio.get_running_loop().run_in_executor(worker, int)
        send("WATCHDOG=1")
        await asyncio.sleep(limit_s / 3)


def _connections(
    bundle: Bundle,
    recognition: RecognitionSettings,
    upstream: str | None,
    say: Callable[[str], None],
    worker: Executor,
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
