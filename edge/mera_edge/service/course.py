"""The course of a run: its moments, one after the other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from mera_edge.events import EmotionEvent, Segment

KEPT = 100
"""Segments kept, the newest: a run may last for months."""


@dataclass
class _Part:
    """A moment and the time for which it was shown."""

    begin_s: float
    end_s: float
    since_s: float
    """When the moment began: before the part, where somebody else was there in between."""
    label: str
    room: str | None
    person: int | None
    why: str | None
    confidence: float = 0.0
    """Sum over the events."""
    events: int = 0

    @property
    def segment(self) -> Segment:
        return Segment(
            begin_s=round(self.begin_s, 3),
            end_s=round(self.end_s, 3),
            label=self.label,
            confidence=round(self.confidence / self.events, 4),
            room=self.room,
            person=self.person,
            why=self.why,
        )


class Course:
    """Gathers the moments of all rooms in bounded memory."""

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque(maxlen=KEPT)
        self._newest: dict[str | None, _Part] = {}
        """By room."""

    def add(self, event: EmotionEvent, now_s: float) -> None:
        """Take an event of stream time ``now_s``."""
        moment = event.moment
        if moment is None:
            return
        part = self._newest.get(event.room)
        since_s = now_s - moment.lasts_s
        # What is rounded differs in the third digit.
        goes_on = part and part.label == moment.label and abs(part.since_s - since_s) < 0.01
        if part is None or not goes_on:
            part = _Part(now_s, now_s, since_s, moment.label, event.room, event.person, event.why)
            self._newest[event.room] = part
            self._parts.append(part)
        part.end_s = now_s
        part.person = event.person if part.person is None else part.person
        part.confidence += moment.confidence
        part.events += 1

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The moments in their order, the newest 100."""
        return tuple(part.segment for part in self._parts)
