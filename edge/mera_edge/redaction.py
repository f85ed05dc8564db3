"""Removes secrets from addresses, for events, logs, errors, recordings and reports."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "…"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://?|%3A%2F%2F)(.*)", re.DOTALL | re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
# Bounded, and applied per word, so that the time on messages of any length stays linear.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}(?::/|%3A%2F)", re.IGNORECASE)
_SECRET = re.compile(r"[@?#]|%40")
_USER = re.compile(r"\S*:\S*@")
_QUERY = re.compile(r"\?\S*=\S*")


def redacted(spec: str) -> str:
    """Return the address of a camera, microphone or file without secrets.

    URLs are reduced to scheme, host and port, since user, path (on some cameras), query and
    fragment may be secret. GStreamer pipelines are reduced to the names of their elements. Devices
    and paths are unchanged.
    """
    if match := _URL.fullmatch(spec.strip()):
        return _url(*match.groups())
    if re.search(r"(^|\s)!(\s|$)", spec):
        return _pipeline(spec)
    return spec if re.match(r"\.{0,2}/(?!/)", spec) else _text(spec)


def redacted_text(text: str) -> str:
    """Redact all URLs with a user, query or fragment in a message."""
    return re.sub(r"\S+", lambda match: _word(match[0]), text)


def _word(word: str) -> str:
    found = _SCHEME.search(word)
    if found is None or not _SECRET.search(word, found.end()):
        return word
    return word[: found.start()] + redacted(word[found.start() :])


def _url(scheme: str, separator: str, rest: str) -> str:
    if not separator.startswith(":"):
        return f"{scheme}://{HIDDEN}"
    place = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host = place.rpartition("@")[2]
    more = rest[len(place) :]
    # A password that contains "/", "?" or "#" could be mistaken for host and path.
    if "@" in more or "%40" in more or not _HOST.fullmatch(host):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{host}" + (f"/{HIDDEN}" if more.strip("/") else "")


def _pipeline(spec: str) -> str:
    plain = re.sub(r'"[^"]*("|$)', HIDDEN, re.sub(r"\\.", HIDDEN, spec))
    elements, expected = [], True
    for word in plain.split():
        if expected:
            elements.append(word if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", word) else HIDDEN)
        expected = word == "!"
    return " ! ".join(elements)


def _text(text: str) -> str:
    return _QUERY.sub(f"?{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))
