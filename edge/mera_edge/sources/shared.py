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
        self._shared: dict[Hashable, SharedSource] = {}

    def subscribe(self, key: Hashable, source: Source) -> Source:
        """Return another source of the device ``source``, or of one of before with this key."""
        return self._shared.setdefault(key, SharedSource(source)).subscribe(source.id)


class SharedSource:
    """Opens, polls and closes a source for all its `Subscription`s.

    Args:
        source: a live one.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._open: list[Subscription] = []
        self._closing = threading.Lock()

    def subscribe(self, id: str | None = None) -> Subscription:
        """Make another source of it, by default with the same id."""
        return Subscription(self, self.source.id if id is None else id)

    def open(self, subscription: Subscription) -> None:
        """Open it, if it is not, for one more."""
        with self._closing:
            if not self._open:
                self.source.open()
            if subscription not in self._open:
                self._open.append(subscription)

    def poll(self, needs_frame: bool) -> float:
        """Give what was captured to everyone; return the time, by its own clock."""
        now_s = time.monotonic()
        captured = self.source.poll(now_s, needs_frame)
        for subscription in tuple(self._open):
            subscription.waiting.audio += captured.audio
            subscription.waiting.frame = captured.frame or subscription.waiting.frame
        return now_s

    def close(self, subscription: Subscription) -> None:
        """Close it, if nobody else needs it."""
        with self._closing:  # rooms are closed at the same time, and while others run
            if subscription in self._open:
                self._open.remove(subscription)
            if not self._open:
                self.source.close()


class Subscription:
    """What one room has of a shared source; a source itself.

    Make one with `SharedSource.subscribe`.

    Rooms may have begun at different times: stream times are those of the room.
    """

    def __init__(self, shared: SharedSource, id: str) -> None:
        self._shared, self.id = shared, id
        self.waiting = Captured()
        self.name = shared.source.name
        self.is_live = shared.source.is_live

    @property
    def has_audio(self) -> bool:
        """Whether the shared source has audio."""
        return self._shared.source.has_audio

    @property
    def has_video(self) -> bool:
        """Whether the shared source has video."""
        return self._shared.source.has_video

    @property
    def condition(self) -> Condition:
        """Of the shared source."""
        return self._shared.source.condition

    @property
    def ended(self) -> bool:
        """Whether the shared source has ended."""
        return self._shared.source.ended

    def open(self) -> None:
        """Open the shared source, unless another subscription did; see `Source.open`."""
        self._shared.open(self)

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return what this subscription has not had yet, in its own time; see `Source.poll`."""
        shift_s = until_s - self._shared.poll(needs_frame)
        captured, self.waiting = self.waiting, Captured()
        if not needs_frame:
            captured.frame, self.waiting.frame = None, captured.frame
        picture = captured.frame
        return Captured(
            [replace(sound, at_s=max(0.0, sound.at_s + shift_s)) for sound in captured.audio],
            picture and replace(picture, at_s=max(0.0, picture.at_s + shift_s)),
        )

    def close(self) -> None:
        """Unsubscribe; the last one closes the shared source."""
        self.waiting = Captured()
        self._shared.close(self)
