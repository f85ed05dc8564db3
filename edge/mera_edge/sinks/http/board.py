"""The data that requests are answered from: each room's newest event and recent history."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mera_edge import __version__
from mera_edge.events import EmotionEvent, RunInfo
from mera_edge.sinks.switchboard import Switchboard

HISTORY_S = 600
"""Length of the history, with one point per second."""

REPLAYED = 512
"""Events kept for clients that reconnect or are slow."""

HUNG_AFTER_S = 10.0
"""The run counts as hanging after this time without an event."""


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event as it is sent."""

    number: int
    """Consecutive number of the event."""
    id: str
    room: str
    message: bytes
    """As a server-sent event, serialized once for all clients."""


@dataclass
class _Room:
    event: EmotionEvent
    seen_s: float
    points: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HISTORY_S))


class Board:
    """Stores events; thread-safe, and of bounded size.

    Args:
        switchboard: provides the rooms and their switches.
        clock: returns seconds.
    """

    def __init__(
        self, switchboard: Switchboard, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._switchboard, self._clock = switchboard, clock
        self._lock = threading.Lock()
        self._began_s = clock()
        self._rooms: dict[str, _Room] = {}
        self._about: RunInfo | None = None
        self._told: deque[SentEvent] = deque(maxlen=REPLAYED)
        self._next = 0

    def publish(self, event: EmotionEvent) -> None:
        """Store an event."""
        name, now_s = event.room_id or "", self._clock()
        id = f"{event.run}.{event.sequence}"
        message = f"id: {id}\ndata: {event.to_json()}\n\n".encode()
        with self._lock:
            self._about = event.about or self._about
            room = self._rooms.setdefault(name, _Room(event, now_s))
            if not room.points or now_s - room.points[-1]["s"] >= 1:
                room.points.append({"s": now_s, **_point(event)})
            room.event, room.seen_s = event, now_s
            self._told.append(SentEvent(self._next, id, name, message))
            self._next += 1

    def since(self, number: int) -> list[SentEvent]:
        """Return the events from a number on, as far as they are still stored."""
        with self._lock:
            new = min(self._next - number, len(self._told))
            return [self._told[-back] for back in range(new, 0, -1)]

    def after(self, last_id: str | None) -> int:
        """Return the number after that of the event ``last_id``.

        If it is unknown, the number of a recent event, so that about one per room is sent again.
        """
        with self._lock:
            found = (told.number + 1 for told in self._told if told.id == last_id)
            return next(found, max(0, self._next - max(1, len(self._rooms))))

    def state(self) -> dict[str, Any]:
        """Return the current state, for JSON."""
        with self._lock:
            now_s = self._clock()
            switches = self._switchboard.rooms
            rooms = {
                id: {
                    "switches": {
                        "paused": switches[id].paused,
                        "camera": switches[id].camera,
                        "microphone": switches[id].microphone,
                    }
                    if id in switches
                    else None,
                    "age_s": round(now_s - room.seen_s, 3),
                    "event": room.event.to_fields(),
                    "history": [
                        {**point, "s": round(point["s"] - now_s, 1)} for point in room.points
                    ],
                }
                for id, room in self._rooms.items()
                if id in switches or not switches
            }
            return {
                "version": __version__,
                "about": self._about and self._about.model_dump(),
                "rooms": rooms,
            }

    @property
    def healthy(self) -> bool:
        """Whether there are recent events; loading models may take a minute."""
        with self._lock:
            newest_s = max((room.seen_s for room in self._rooms.values()), default=None)
            if newest_s is None:
                return self._clock() - self._began_s < 6 * HUNG_AFTER_S
            return self._clock() - newest_s < HUNG_AFTER_S

    @property
    def ready(self) -> bool:
        """Whether every room has published an event."""
        with self._lock:
            rooms = self._switchboard.rooms
            return bool(rooms) and rooms.keys() <= self._rooms.keys()


def _point(event: EmotionEvent) -> dict[str, Any]:
    return {
        "label": event.moment and event.moment.label,
        "valence": event.emotion and event.emotion.valence,
    }
