"""Sinks: destinations of events. They depend on messages only, never on models.

A sink may block on its disk or peer, and may raise: a live run wraps each in a `QueuedSink`, which
has its own thread. A sink decides which events it passes on, and how often.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeAlias, TypeVar

from mera_edge.events import EmotionEvent, Summary

Message = TypeVar("Message", contravariant=True)


class Receiver(Protocol[Message]):
    """Receives every message of a run, and the summary at the end."""

    def publish(self, message: Message, /) -> None:
        """Process one message."""

    def close(self, summary: Summary) -> None:
        """Process the summary and finish; nothing may be left half-written."""


Sink: TypeAlias = Receiver[EmotionEvent]
"""Receives every event."""


class Destination(Sink, Protocol):
    """A sink that can be configured.

    Attributes:
        newest_only: whether an event that could not be delivered is obsolete as soon as there is a
            newer one.
    """

    newest_only: ClassVar[bool]

    def reopen(self) -> None:
        """Reopen a file that was moved away."""
