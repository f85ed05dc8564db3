"""From what a user writes after --sink to a sink."""

from __future__ import annotations

from mera_edge.config import SinkSettings
from mera_edge.errors import InputError
from mera_edge.sinks import Destination
from mera_edge.sinks.jsonl import JsonLines


def choose(target: SinkSettings) -> Destination:
    """Return the sink that the settings name.

    Raises:
        InputError: there is no such sink, or it cannot be written.
    """
    refuse_unknown(target)
    return JsonLines(target.to)


def refuse_unknown(target: SinkSettings) -> None:
    """Raise `InputError` for a target of which there is no sink."""
    if target.scheme is not None:
        raise InputError(
            f"{target.scheme}:// is not a sink of this version", "give `-` for stdout, or a file"
        )
