"""What an operator wants to read afterwards: when a camera or microphone was lost and came back."""

from __future__ import annotations

from collections.abc import Callable

from mera_edge.events import EmotionEvent, SourceState, Summary


class SourceLog:
    """Says every change of a source's state.

    Args:
        say: takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._states: dict[tuple[str | None, str], SourceState] = {}

    def publish(self, event: EmotionEvent) -> None:
        """Compare the sources with those of the event before."""
        for name, source in (event.sources or {}).items():
            if self._states.get((event.room, name)) != source.state:
                self._states[event.room, name] = source.state
                line = f"{event.room}: {name}" if event.room else name
                why = f": {source.reason}" if source.reason else ""
                self._say(f"{line} {source.state}{why}")

    def close(self, summary: Summary) -> None:
        """There is nothing to finish."""
