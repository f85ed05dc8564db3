"""Server-sent events for any number of clients."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mera_edge.sinks.http.board import Board

READERS = 256
"""Maximum number of concurrent streams."""

PING_S = 15.0
"""Interval of keep-alive comments, so that proxies and clients do not time out."""

_RETRY = b"retry: 2000\n\n"
_PING = b": still here\n\n"


class Wakeup:
    """Wakes all streams. `ring` may be called from any thread; `heard` runs in the event loop.

    Attributes:
        readers: number of open streams.
        pings: number of keep-alive intervals so far.
        over: whether the streams must end.
    """

    def __init__(self) -> None:
        self.readers, self.pings, self.over = 0, 0, False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()

    def ring(self, over: bool = False) -> None:
        """Signal new events, or the end, without blocking."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._ring, over)

    async def heard(self) -> None:
        """Wait for the next signal."""
        await self._rung.wait()

    def attach(self) -> None:
        """Attach to the running event loop."""
        self._loop, self._rung = asyncio.get_running_loop(), asyncio.Event()
        self._loop.call_later(PING_S, self._ping, self._loop)

    def _ring(self, over: bool) -> None:
        self.over = over or self.over
        self._rung.set()
        self._rung = asyncio.Event()

    def _ping(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pings += 1
        self._ring(over=False)
        loop.call_later(PING_S, self._ping, loop)


class Stream:
    """The event stream of one client, without a queue: slow clients miss what the board drops.

    Args:
        board: the events.
        bell: signals new ones.
        last_id: id of the last event that the client received before a disconnection.
        room: send only the events of this room.
    """

    def __init__(self, board: Board, bell: Wakeup, last_id: str | None, room: str | None) -> None:
        self._board, self._bell, self._room = board, bell, room
        self._next = board.after(last_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client disconnects or the sink is closed (ASGI)."""
        if self._bell.readers >= READERS:
            busy = PlainTextResponse("too many clients\n", 503, {"retry-after": "10"})
            await busy(scope, receive, send)
            return
        self._bell.readers += 1
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await self._send(send)
                group.cancel_scope.cancel()
        finally:
            self._bell.readers -= 1

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        part, pings = _RETRY, self._bell.pings
        while not self._bell.over:
            if part:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                pings = self._bell.pings
            if not (part := self._new()):
                await self._bell.heard()
                part = self._new() or (_PING if self._bell.pings != pings else b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _new(self) -> bytes:
        new = self._board.since(self._next)
        if new:
            self._next = new[-1].number + 1
        return b"".join(
            told.message for told in new if self._room is None or told.room == self._room
        )


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
