"""A sink that calls a function."""

from __future__ import annotations

from collections.abc import Callable

from mera_edge.events import EmotionEvent, Summary


class Callback:
    """Calls a function with every event.

    Args:
        function: may raise; `QueuedSink` handles that in a live run.
    """

    def __init__(self, function: Callable[[EmotionEvent], None]) -> None:
        self._function = function

    def publish(self, event: EmotionEvent) -> None:
        """Call the function."""
        self._function(event)

    def close(self, summary: Summary) -> None:
        """Do nothing."""
