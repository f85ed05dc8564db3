"""Which events a sink gets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from mera_edge.config import SinkSettings, Words
from mera_edge.events import EmotionEvent


class Selection:
    """Chooses among the events of a run, for every room alone, as a sink's settings say.

    A change that comes too early for `every_s` is not lost: it is one still when the time is up,
    unless it has been taken back.

    Args:
        settings: `on` and `every_s` count.
        clock: seconds.

    Attributes:
        words: that the sink gets.
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
    """Return what makes a change."""
    sources = {id: source.state for id, source in (event.sources or {}).items()}
    return event.moment and event.moment.label, sources
