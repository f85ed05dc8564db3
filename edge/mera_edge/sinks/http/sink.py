"""The HTTP sink: a server in its own thread."""

from __future__ import annotations

import ipaddress
import logging
import threading
from typing import ClassVar

from mera_edge.config import SinkSettings
from mera_edge.errors import MissingExtra
from mera_edge.events import EmotionEvent, Summary
from mera_edge.sinks.http.address import bind
from mera_edge.sinks.http.board import Board
from mera_edge.sinks.switchboard import Switchboard

CONNECTIONS = 320
"""Maximum number of concurrent connections, streams included."""

_LONGEST_HEAD = 16_384
"""Maximum size of a request's first line and headers in bytes."""


class HttpSink:
    """Serves a live page, events, state, health and metrics until it is closed.

    Publishing never blocks: events go into the `Board`, and the server's thread is notified.

    Args:
        target: ``http://HOST:PORT``, and the access settings.
        switchboard: executes switch requests.

    Raises:
        MissingExtra: Starlette and uvicorn are not installed.
        MeraError: the address is not available, or the token cannot be used.

    Attributes:
        url: of the live page.
    """

    newest_only: ClassVar = False

    def __init__(self, target: SinkSettings, switchboard: Switchboard) -> None:
        try:
            import uvicorn

            from mera_edge.sinks.http.app import make
            from mera_edge.sinks.http.connection import Connection, drop_stuck_clients
            from mera_edge.sinks.http.metrics import Metrics
            from mera_edge.sinks.http.stream import Wakeup
        except ModuleNotFoundError as error:
            raise MissingExtra(f"{error.name}, which http:// needs,", "http") from error
        self._socket, access = bind(target)
        drop_stuck_clients(self._socket)
        self.url = _url(*self._socket.getsockname()[:2])
        self._board, self._metrics, self._bell = Board(switchboard), Metrics(), Wakeup()
        app = make(self._board, self._metrics, self._bell, switchboard, access)
        # Malformed requests are not worth logging; `Guard` logs failures of the application.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="off",
                loop="asyncio",
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()

    def publish(self, event: EmotionEvent) -> None:
        """Store an event and notify the clients."""
        self._board.publish(event)
        self._metrics.publish(event)
        self._bell.ring()

    def reopen(self) -> None:
        """Do nothing: there is no file."""

    def close(self, summary: Summary) -> None:
        """Close the streams and stop the server."""
        self._bell.ring(over=True)
        self._server.should_exit = True
        self._thread.join(2)

    def _serve(self) -> None:
        import asyncio

        async def serve() -> None:
            self._bell.attach()
            await self._server.serve(sockets=[self._socket])

        asyncio.run(serve())


def _url(host: str, port: int) -> str:
    place = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    return f"http://{place}:{port}/"
