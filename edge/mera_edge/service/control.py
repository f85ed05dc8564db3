"""What is switched on and off while the service runs, by whoever may: signals, HTTP, MQTT."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from mera_edge.errors import InputError
from mera_edge.labels import MODALITIES, ModalityName
from mera_edge.reasons import ReasonCode


@dataclass(frozen=True)
class Switches:
    """What is on in one room.

    Attributes:
        paused: everything is off, whatever the others say; its devices are closed.
        camera: whether the camera is on.
        microphone: whether the microphone is on.
    """

    paused: bool = False
    camera: bool = True
    microphone: bool = True

    @property
    def off(self) -> dict[ModalityName, ReasonCode]:
        """The modalities that are off, and by what."""
        if self.paused:
            return dict.fromkeys(MODALITIES, "paused")
        off: dict[ModalityName, ReasonCode] = {}
        off |= {} if self.camera else {"face": "switched_off"}
        off |= {} if self.microphone else {"voice": "switched_off", "text": "switched_off"}
        return off


Listener = Callable[[str, Switches, str], None]
"""Is told a room's id, its switches and who changed them, by the thread that did."""


class Control:
    """The switches of every room. Thread-safe; the loop applies a change at its next tick."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rooms: dict[str, Switches] = {}
        self._remembered: Mapping[str, Switches] = {}
        self._listeners: list[Listener] = []

    @property
    def rooms(self) -> Mapping[str, Switches]:
        """The switches of every room, by its id."""
        with self._lock:
            return dict(self._rooms)

    def remember(self, switches: Mapping[str, Switches]) -> None:
        """Start new rooms with these switches, those of the previous run."""
        with self._lock:
            self._remembered = dict(switches)

    def use(self, rooms: Iterable[str]) -> None:
        """Set the rooms, by their ids; rooms that were there before keep their switches."""
        with self._lock:
            self._rooms = {
                room: self._rooms.get(room) or self._remembered.get(room, Switches())
                for room in rooms
            }

    def of(self, room: str) -> Switches:
        """Return the switches of a room."""
        with self._lock:
            return self._rooms.get(room, Switches())

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener`` after every change; it must not block."""
        with self._lock:
            self._listeners.append(listener)

    def set(
        self,
        room: str | None = None,
        *,
        by: str = "Python",
        paused: bool | None = None,
        camera: bool | None = None,
        microphone: bool | None = None,
    ) -> None:
        """Change switches; those that are ``None`` stay.

        Args:
            room: its id; every room when ``None``.
            by: who changes them, for the audit log.

        Raises:
            InputError: there is no such room.
        """
        given = {"paused": paused, "camera": camera, "microphone": microphone}
        changes = {name: value for name, value in given.items() if value is not None}
        with self._lock:
            if room is not None and room not in self._rooms:
                raise InputError(f"there is no room {room!r}", f"rooms: {', '.join(self._rooms)}")
            for each in self._rooms if room is None else (room,):
                before, now = self._rooms[each], replace(self._rooms[each], **changes)
                if now != before:
                    self._rooms[each] = now
                    for listener in self._listeners:
                        listener(each, now, by)

    def toggle(self, by: str) -> None:
        """Pause every room, or resume all if every one is paused."""
        with self._lock:
            paused = all(switches.paused for switches in self._rooms.values())
            self.set(by=by, paused=not paused)
