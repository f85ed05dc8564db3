"""Where events go. A sink knows messages, never models."""

from __future__ import annotations

from typing import Protocol

from mera_edge.events import EmotionEvent, Summary


class Sink(Protocol):
    """Takes every event as it is published, and the summary at the end."""

    def publish(self, event: EmotionEvent) -> None:
        """Take one event."""

    def close(self, summary: Summary) -> None:
        """Take the summary and finish: nothing is left half-written."""
