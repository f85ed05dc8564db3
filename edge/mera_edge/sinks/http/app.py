"""The web application and its routes."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mera_edge.errors import InputError
from mera_edge.sinks.http.address import Access
from mera_edge.sinks.http.board import Board
from mera_edge.sinks.http.guard import LONGEST_BODY, Guard
from mera_edge.sinks.http.metrics import Metrics
from mera_edge.sinks.http.stream import Stream, Wakeup
from mera_edge.sinks.page import page, style
from mera_edge.sinks.switchboard import Switchboard


class Change(BaseModel):
    """The body of a switch request; omitted switches stay unchanged."""

    model_config = ConfigDict(extra="forbid", strict=True)

    room: str | None = None
    paused: bool | None = None
    camera: bool | None = None
    microphone: bool | None = None


def make(
    board: Board, metrics: Metrics, bell: Wakeup, switchboard: Switchboard, access: Access
) -> Starlette:
    """Return the application."""

    async def state(request: Request) -> Response:
        return JSONResponse(board.state())

    async def switch(request: Request) -> Response:
        # HTML forms cannot send this type, and cross-origin scripts fail the CORS preflight.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return PlainTextResponse("expected content-type application/json\n", 415)
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > LONGEST_BODY:
                    return PlainTextResponse("body too long\n", 413, {"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            change = Change.model_validate(json.loads(body or b"null"))
            # In a thread, since it may block on locks and listeners.
            by = f"HTTP {request.client.host if request.client else 'client'}"
            await anyio.to_thread.run_sync(lambda: switchboard.set(by=by, **dict(change)))
        except (ValueError, RecursionError, ValidationError):
            what = "expected {room?, paused?, camera?, microphone?}: a room id, and true or false\n"
            return PlainTextResponse(what, 422)
        except InputError as error:
            return PlainTextResponse(f"{error}\n", 404)
        return JSONResponse(board.state())

    async def health(request: Request) -> Response:
        return _told(board.healthy, "ok", "no recent events")

    async def readiness(request: Request) -> Response:
        return _told(board.ready and board.healthy, "ready", "a room has given no event yet")

    async def exposition(request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/", _fixed(_page(), "text/html")),
            Route("/style.css", _fixed(style() + _file("live.css"), "text/css")),
            Route("/live.js", _fixed(_file("live.js"), "text/javascript")),
            Route("/icon.svg", _fixed(_ICON, "image/svg+xml")),
            Route("/events", Events(board, bell), methods=["GET"]),
            Route("/api/state", state),
            Route("/api/switches", switch, methods=["POST"]),
            Route("/healthz", health),
            Route("/readyz", readiness),
            Route("/metrics", exposition),
        ],
        middleware=[Middleware(Guard, access=access)],
    )


class Events:
    """The endpoint of `/events`."""

    def __init__(self, board: Board, bell: Wakeup) -> None:
        self._board, self._bell = board, bell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events as they are published (ASGI)."""
        request = Request(scope, receive)
        stream = Stream(
            self._board,
            self._bell,
            request.headers.get("last-event-id"),
            request.query_params.get("room"),
        )
        await stream(scope, receive, send)


def _told(holds: bool, yes: str, no: str) -> Response:
    return PlainTextResponse(f"{yes if holds else no}\n", 200 if holds else 503)


def _fixed(text: str, kind: str) -> Callable[[Request], Any]:
    content = text.encode()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def _file(name: str) -> str:
    return files("mera_edge.sinks.http").joinpath(name).read_text(encoding="utf-8")


def _page() -> str:
    head = (
        '<link rel="icon" href="icon.svg"><link rel="stylesheet" href="style.css">'
        '<script src="live.js" defer></script>'
    )
    return page("Live", _file("live.html"), _FOOTER, head)


_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" '
    'fill="#2f7fc1"/><path d="M8 18q4-9 8 0t8 0" fill="none" stroke="#fff" stroke-width="3" '
    'stroke-linecap="round"/></svg>'
)

_FOOTER = (
    "How a person looks and sounds is not what a person feels: this is a statistical guess, wrong "
    "often and not equally for everyone. Use it with consent, and for no decision about a person. "
    "Computed on this device; no sound or picture is kept or sent."
)
