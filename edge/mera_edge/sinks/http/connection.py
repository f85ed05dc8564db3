"""A connection that a client cannot hold without using it."""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""Within which a request comes, its body included."""

STUCK_AFTER_S = 20.0
"""A client that takes nothing of an answer for so long is let go of."""

MOST_OPEN = 640
"""Connections beyond that are closed unheard: a process has 1024 files, and cameras need some."""


def drop_stuck_clients(listener: socket.socket) -> None:
    """Have the kernel end the connections of a listener whose clients take nothing any more."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * STUCK_AFTER_S))


class Connection(H11Protocol):
    """Is closed where a request does not come to its end in time. uvicorn knows no such limit."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if len(self.connections) > MOST_OPEN:
            transport.abort()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
