"""Where events go. A sink knows messages, never models.

A sink is written plainly: it may wait for its disk or its peer, and raise. A live run puts each
into a `QueuedSink`, whose thread waits for it. What a sink passes on of the events, and how often,
is its own affair.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeAlias, TypeVar

from mera_edge.events import EmotionEvent, Summary

Message = TypeVar("Message", contravariant=True)


class Receiver(Protocol[Message]):
    """Takes every message of a run as it is published, and the summary at the end."""

    def publish(self, message: Message, /) -> None:
        """Take one message."""

    def close(self, summary: Summary) -> None:
        """Take the summary and finish: nothing is left half-written."""


Sink: TypeAlias = Receiver[EmotionEvent]
"""Takes every event."""


class Destination(Sink, Protocol):
    """A sink that a configuration names.

    Attributes:
        newest_only: whether an event that could not be passed on is of no use any more.
    """

    newest_only: ClassVar[bool]

    def reopen(self) -> None:
        """Open a file again that was moved away."""
