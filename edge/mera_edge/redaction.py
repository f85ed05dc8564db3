"""What of a source's address may be shown: in events, logs, errors, recordings and reports."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "…"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://?|%3A%2F%2F)(.*)", re.DOTALL | re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
# Of bounded length and word by word: a message may hold a line of any length.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}(?::/|%3A%2F)", re.IGNORECASE)
_SECRET = re.compile(r"[@?#]|%40")
_USER = re.compile(r"\S*:\S*@")
_QUERY = re.compile(r"\?\S*=\S*")


def redacted(spec: str) -> str:
    """Return a camera, microphone or file as it may be shown.

    Of a URL scheme, host and port are left: a secret may be its user, a part of its path (some
    cameras), its query or its fragment, whatever it is called there. Of a GStreamer pipeline the
    elements' names are left. A device and a path are shown as they are.
    """
    if match := _URL.fullmatch(spec.strip()):
        return _url(*match.groups())
    if re.search(r"(^|\s)!(\s|$)", spec):
        return _pipeline(spec)
    return spec if re.match(r"\.{0,2}/(?!/)", spec) else _text(spec)


def redacted_text(text: str) -> str:
    """Return a message without the user, query or fragment of any address in it."""
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
    # A password with "/", "?" or "#" in it would pass for host and path.
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
