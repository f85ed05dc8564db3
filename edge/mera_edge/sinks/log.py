"""What an operator wants to read afterwards: when a camera or microphone was lost and came back."""

from __future__ import annotations

from collections.abc import Callable

from mera_edge.events import EmotionEvent, SourceState, Summary
from mera_edge.reasons import REMEDIES


class SourceLog:
    """Says every change of a source's state.

    Args:
        say: takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._states: dict[tuple[str | None, str], tuple[SourceState, str | None]] = {}

    def publish(self, event: EmotionEvent) -> None:
        """Compare the sources with those of the event before."""
        for id, source in (event.sources or {}).items():
            state = source.state, source.reason_code
            if self._states.get((event.room, id)) != state:
                self._states[event.room, id] = state
                line = f"{event.room}: {source.name}" if event.room else source.name
                why = f": {source.reason}" if source.reason else ""
                remedy = REMEDIES.get(source.reason_code or "")
                self._say(f"{line} {source.state}{why}{f' ({remedy})' if remedy else ''}")

    def close(self, summary: Summary) -> None:
        """There is nothing to finish."""
