"""One device for several rooms: it is opened once, and every room gets all that it captures."""

from __future__ import annotations

from mera_edge.sources.base import Captured, Condition, Source


class Shared:
    """Opens, polls and closes a source for all its `Tap`s.

    Args:
        source: a live one: its stream time is that of every room.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._taps: list[Tap] = []

    def tap(self) -> Tap:
        """Make another source of it."""
        self._taps.append(Tap(self))
        return self._taps[-1]

    def open(self) -> None:
        """Open it, if it is not."""
        if not any(tap.is_open for tap in self._taps):
            self.source.open()

    def poll(self, until_s: float, look: bool) -> None:
        """Give what was captured to everyone."""
        captured = self.source.poll(until_s, look)
        for tap in self._taps:
            tap.waiting.sounds += captured.sounds
            tap.waiting.picture = captured.picture or tap.waiting.picture

    def close(self) -> None:
        """Close it, if nobody needs it any more."""
        if not any(tap.is_open for tap in self._taps):
            self.source.close()


class Tap:
    """What one room has of a shared source; a source itself. Make one with `Shared.tap`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.is_open = False
        self.waiting = Captured()
        self.name, self.id = shared.source.name, shared.source.id
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
        self._shared.open()
        self.is_open = True

    def poll(self, until_s: float, look: bool = True) -> Captured:
        self._shared.poll(until_s, look)
        captured, self.waiting = self.waiting, Captured()
        if not look:
            captured.picture, self.waiting.picture = None, captured.picture
        return captured

    def close(self) -> None:
        self.is_open = False
        self._shared.close()
