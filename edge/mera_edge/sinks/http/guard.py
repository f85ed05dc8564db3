"""Access control, and the security headers of every response."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import logging
import re
from collections.abc import Mapping

from h11 import LocalProtocolError
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mera_edge.sinks.http.address import Access

LONGEST_BODY = 1024
"""Maximum size of a request's body in bytes; switches need about a hundred."""

_LOG = logging.getLogger(__name__)

_OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no token: they reveal only whether the service works."""

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


class Guard:
    """Admits permitted requests only, and adds security headers.

    Any web page can make a browser send requests here, by DNS rebinding or cross-origin. Therefore
    host names are checked, and only same-origin requests may change anything.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        app = self._app if refusal is None else _refused(*refusal)
        try:
            await app(scope, receive, answer)
        except LocalProtocolError:
            pass  # uvicorn has answered 400: a chunked body was malformed
        except Exception:
            _LOG.exception("a request failed")
            raise

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope["client"] else ""
        if peer not in self._access.trusted:
            if not self._is_known(headers.get("host", "")):
                return (
                    421,
                    "unknown host name: use the IP address, or set `hosts` of the sink",
                )
            if scope["path"] not in _OPEN and not self._has_token(headers):
                return 401, "missing or wrong token"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:9]) > LONGEST_BODY:
            return 413, f"the body may have at most {LONGEST_BODY} bytes"
        # A trusted proxy may have replaced `Host`.
        forwarded = headers.get("x-forwarded-host") if peer in self._access.trusted else None
        origin, host = headers.get("origin"), forwarded or headers.get("host", "")
        own = origin is None or origin.partition("://")[2].lower() == host.lower()
        if scope["method"] == "POST" and not own:
            return 403, "cross-origin request"
        return None

    def _is_known(self, host: str) -> bool:
        """Whether a request's host is an IP address or one of our names."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._access.names
        return True

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        if self._access.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.encode(), self._access.token.encode())


def _refused(status: int, why: str) -> ASGIApp:
    headers = {"www-authenticate": 'Basic realm="mera-edge"'} if status == 401 else {}
    return PlainTextResponse(f"{why}\n", status, {**headers, "connection": "close"})
