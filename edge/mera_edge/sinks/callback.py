"""Events as calls of a function."""

from __future__ import annotations

from collections.abc import Callable

from mera_edge.events import EmotionEvent, Summary


class Callback:
    """Calls a function with every event.

    Args:
        function: may raise; see `QueuedSink` for what then happens in a live run.
    """

    def __init__(self, function: Callable[[EmotionEvent], None]) -> None:
        self._function = function

    def publish(self, event: EmotionEvent) -> None:
        """Pass one event on."""
        self._function(event)

    def close(self, summary: Summary) -> None:
        """There is nothing to finish."""
