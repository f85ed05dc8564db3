"""Connections with timeouts, so that idle or stuck clients cannot occupy them."""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""Timeout for a complete request, including its body."""

STUCK_AFTER_S = 20.0
"""A client that has not read anything for this long is disconnected."""

MOST_OPEN = 640
"""Further connections are closed immediately: a process has 1024 file descriptors, and cameras need
some."""


def drop_stuck_clients(listener: socket.socket) -> None:
    """Make the kernel close connections of a listener whose clients have stopped reading."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * STUCK_AFTER_S))


class Connection(H11Protocol):
    """Closed if a request is not complete in time; uvicorn has no such timeout."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first request."""
        super().connection_made(transport)
        if len(self.connections) > MOST_OPEN:
            transport.abort()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Process a part of a request."""
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
