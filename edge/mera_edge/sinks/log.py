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
        for name, state in (event.sources or {}).items():
            if self._states.get((event.room, name)) == state:
                continue
            self._states[event.room, name] = state
            reasons = [modality.reason or "" for modality in event.modalities.values()]
            line = next((why for why in reasons if why.startswith(name)), f"{name} {state}")
            self._say(f"{event.room}: {line}" if event.room else line)

    def close(self, summary: Summary) -> None:
        """There is nothing to finish."""
