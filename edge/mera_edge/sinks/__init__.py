"""Where events go. A sink knows messages, never models.

A sink is written plainly: it may wait for its disk or its peer, and raise. A live run puts each
into a `QueuedSink`, whose thread waits for it. What a sink passes on of the events, and how often,
is its own affair.
"""

from __future__ import annotations

from typing import Protocol

from mera_edge.events import EmotionEvent, Summary


class Sink(Protocol):
    """Takes every event as it is published, and the summary at the end."""

    def publish(self, event: EmotionEvent) -> None:
        """Take one event."""

    def close(self, summary: Summary) -> None:
        """Take the summary and finish: nothing is left half-written."""
