"""From what a user writes after --sink to a sink."""

from __future__ import annotations

import re

from mera_edge.errors import InputError
from mera_edge.sinks.jsonl import JsonLines

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def choose(target: str) -> JsonLines:
    """Return the sink of a target.

    Args:
        target: ``-`` for stdout, or a path. A URL will name a sink of its scheme.

    Raises:
        InputError: there is no such sink, or it cannot be written.
    """
    refuse_unknown(target)
    return JsonLines(target)


def refuse_unknown(target: str) -> None:
    """Raise `InputError` for a target of which there is no sink."""
    url = _URL.match(target)
    if url:
        raise InputError(
            f"{url[1]}:// is not a sink of this version", "give `-` for stdout, or a file"
        )
