"""Selects the events for a sink."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from mera_edge.config import SinkSettings, Words
from mera_edge.events import EmotionEvent


class Selection:
    """Filters the events of a run by a sink's settings, per room.

    A change within `every_s` of the last event is not lost: it is passed on when that time is over,
    unless it has been reverted.

    Args:
        settings: `on`, `every_s` and `transcript` are used.
        clock: returns seconds.

    Attributes:
        words: the words that the sink gets.
    """

    def __init__(self, settings: SinkSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.words: Words = settings.transcript or "off"
        self._on, self._every_s, self._clock = settings.on, settings.every_s, clock
        self._last: dict[str | None, tuple[float, Any]] = {}

    def takes(self, event: EmotionEvent) -> bool:
        """Return whether the sink gets this event."""
        before_s, before = self._last.get(event.room_id, (-math.inf, None))
        now_s, state = self._clock(), _state(event)
        if now_s - before_s < self._every_s or (self._on == "change" and state == before):
            return False
        self._last[event.room_id] = now_s, state
        return True


def _state(event: EmotionEvent) -> Any:
    """Return the state whose changes count."""
    sources = {id: source.state for id, source in (event.sources or {}).items()}
    return event.moment and event.moment.label, sources
