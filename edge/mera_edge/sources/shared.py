"""One device for several rooms: it is opened once, and every room gets all that it captures."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import replace

from mera_edge.sources.base import Captured, Condition, Source


class Devices:
    """The live sources of all rooms, so that a device is opened once, however many name it."""

    def __init__(self) -> None:
        self._shared: dict[Hashable, Shared] = {}

    def tap(self, key: Hashable, source: Source) -> Source:
        """Return another source of the device ``source``, or of one of before with this key."""
        return self._shared.setdefault(key, Shared(source)).tap(source.id)


class Shared:
    """Opens, polls and closes a source for all its `Tap`s.

    Args:
        source: a live one.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._open: list[Tap] = []
        self._closing = threading.Lock()

    def tap(self, id: str | None = None) -> Tap:
        """Make another source of it, by default with the same id."""
        return Tap(self, self.source.id if id is None else id)

    def open(self, tap: Tap) -> None:
        """Open it, if it is not, for one more."""
        with self._closing:
            if not self._open:
                self.source.open()
            if tap not in self._open:
                self._open.append(tap)

    def poll(self, look: bool) -> float:
        """Give what was captured to everyone; return the time, by its own clock."""
        now_s = time.monotonic()
        captured = self.source.poll(now_s, look)
        for tap in tuple(self._open):
            tap.waiting.sounds += captured.sounds
            tap.waiting.picture = captured.picture or tap.waiting.picture
        return now_s

    def close(self, tap: Tap) -> None:
        """Close it, if nobody else needs it."""
        with self._closing:  # rooms are closed at the same time, and while others run
            if tap in self._open:
                self._open.remove(tap)
            if not self._open:
                self.source.close()


class Tap:
    """What one room has of a shared source; a source itself. Make one with `Shared.tap`.

    Rooms may have begun at different times: stream times are those of the room.
    """

    def __init__(self, shared: Shared, id: str) -> None:
        self._shared, self.id = shared, id
        self.waiting = Captured()
        self.name = shared.source.name
        self.is_live = shared.source.is_live

    @property
    def has_sound(self) -> bool:
        return self._shared.source.has_sound

    @property
    def has_picture(self) -> bool:
        return self._shared.source.has_picture

    @property
    def condition(self) -> Condition:
        return self._shared.source.condition

    @property
    def ended(self) -> bool:
        return self._shared.source.ended

    def open(self) -> None:
        self._shared.open(self)

    def poll(self, until_s: float, look: bool = True) -> Captured:
        shift_s = until_s - self._shared.poll(look)
        captured, self.waiting = self.waiting, Captured()
        if not look:
            captured.picture, self.waiting.picture = None, captured.picture
        picture = captured.picture
        return Captured(
            [replace(sound, at_s=max(0.0, sound.at_s + shift_s)) for sound in captured.sounds],
            picture and replace(picture, at_s=max(0.0, picture.at_s + shift_s)),
        )

    def close(self) -> None:
        self.waiting = Captured()
        self._shared.close(self)
