"""Why a stream of the network cannot be opened, said so that somebody can do something about it."""

from __future__ import annotations

import socket
import time
from typing import Any, Literal
from urllib.parse import urlsplit

from mera_edge.errors import SourceError
from mera_edge.reasons import ReasonCode

OPTIONS = {"rtsp_transport": "tcp", "analyzeduration": "1000000"}
"""FFmpeg would study a stream for up to 5 s before it gives the first picture or sound."""

_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}
REACH_LIMIT_S, OPEN_LIMIT_S = 2.0, 3.0


def diagnosis(url: str, kind: Literal["video", "audio"]) -> SourceError:
    """Try a stream that could not be opened once more, step by step, and return what fails.

    Takes 5 s at most, beside the look-up of the host's name.
    """
    import av

    if problem := _unreached(url):
        return problem
    began_s = time.monotonic()
    try:
        with av.open(url, options=OPTIONS, timeout=OPEN_LIMIT_S) as container:
            if not getattr(container.streams, kind):
                return SourceError("no_stream", f"it has no {kind}")
    except (av.FFmpegError, OSError, ValueError) as error:
        if time.monotonic() - began_s >= OPEN_LIMIT_S:
            return SourceError("timeout", "no answer in time")
        return _named(error, kind)
    return SourceError("cannot_open", "it cannot be opened")


def _named(error: Exception, kind: Literal["video", "audio"]) -> SourceError:
    """Return what FFmpeg says as one of few reasons."""
    import av.error as said

    table: tuple[tuple[Any, ReasonCode, str], ...] = (
        (said.HTTPUnauthorizedError, "unauthorized", "wrong user or password (401)"),
        (said.HTTPForbiddenError, "forbidden", "the user may not access the stream (403)"),
        (said.HTTPNotFoundError, "not_found", "no such stream (404)"),
        (said.HTTPClientError, "not_found", "the server rejects the request (4xx)"),
        (said.HTTPServerError, "server_error", "server error (5xx)"),
        (ConnectionRefusedError, "refused", "connection refused"),
        ((said.TimeoutError, said.ExitError), "timeout", "no answer in time"),
        (said.LookupError, "unsupported", "unsupported protocol or format"),
        (
            (said.InvalidDataError, said.OSError, said.EOFError),
            "not_media",
            f"it answers, but not with {kind}: a web page, perhaps",
        ),
    )
    for kinds, code, sentence in table:
        if isinstance(error, kinds):
            return SourceError(code, sentence)
    return SourceError("cannot_open", "it cannot be opened")


def _unreached(url: str) -> SourceError | None:
    """Look up the host and connect to it, where the scheme is one of TCP."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        if port is None:
            return None  # not of TCP, or not known
        if not parts.hostname:
            raise ValueError(url)
        with socket.create_connection((parts.hostname, port), timeout=REACH_LIMIT_S):
            return None
    except ValueError:
        return SourceError("unknown_host", "the URL has no host")
    except socket.gaierror:
        return SourceError("unknown_host", "unknown host")
    except ConnectionRefusedError:
        return SourceError("refused", "connection refused")
    except TimeoutError:
        return SourceError("timeout", "no answer in time")
    except OSError as error:
        return SourceError("unreachable", f"unreachable ({error.strerror})")
