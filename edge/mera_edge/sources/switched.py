"""A source that can be switched off while the run goes on: a device is then really closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from mera_edge.errors import MeraError
from mera_edge.labels import ModalityName
from mera_edge.reasons import MEANINGS, ReasonCode
from mera_edge.sources.base import Captured, Condition, Source

Off = Mapping[ModalityName, ReasonCode]
"""The modalities that are switched off, and by what."""


class Switched:
    """Closes its source while everything that it serves is switched off. A source itself.

    A file is no device: it plays on, and what is switched off of it is not passed on.

    Args:
        source: from now on opened and closed by nobody else.
        off: what is switched off now; asked at every poll.
    """

    def __init__(self, source: Source, off: Callable[[], Off]) -> None:
        self._source, self._off = source, off
        self.id, self.name, self.is_live = source.id, source.name, source.is_live
        self._is_open = False
        self._closing: threading.Thread | None = None
        self._condition: Condition | None = None
        """In place of the source's own, while it is not open."""

    @property
    def has_audio(self) -> bool:
        """Whether the source has audio, switched off or not."""
        return self._source.has_audio

    @property
    def has_video(self) -> bool:
        """Whether the source has video, switched off or not."""
        return self._source.has_video

    @property
    def condition(self) -> Condition:
        """Of the source, or why it is off."""
        return self._condition or self._source.condition

    @property
    def ended(self) -> bool:
        """Whether the source has ended."""
        return self._source.ended

    def open(self) -> None:
        """Open the source, unless it is switched off."""
        code = self._code(self._off())
        if code is not None and self.is_live:
            self._condition = _off(code)
            return
        self._source.open()
        self._is_open, self._condition = True, None

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Follow the switches, without waiting for the device; return what was captured."""
        off = self._off()
        code = self._code(off)
        if self.is_live:
            self._follow(code)
            if not self._is_open:
                return Captured()
        captured = self._source.poll(until_s, needs_frame and "face" not in off)
        if code is not None or {"voice", "text"} <= off.keys():
            captured.audio = []
        return captured

    def close(self) -> None:
        """Close the source, and wait until it is closed."""
        if self._closing is not None:
            self._closing.join()
        self._is_open, self._closing = False, None
        self._source.close()

    def _code(self, off: Off) -> ReasonCode | None:
        """Return why nothing of the source is wanted, if that is so."""
        served: list[ModalityName] = ["face"] if self.has_video else []
        served += ["voice", "text"] if self.has_audio else []
        codes = [off.get(name) for name in served]
        return codes[0] if codes and all(codes) else None

    def _follow(self, code: ReasonCode | None) -> None:
        if code is not None:
            self._condition = _off(code)
            if self._is_open:
                # A driver may take its time, and the other rooms have theirs.
                self._is_open = False
                self._closing = threading.Thread(target=self._source.close, daemon=True)
                self._closing.start()
        elif not self._is_open and not (self._closing and self._closing.is_alive()):
            self._closing = None
            if self._condition is None or self._condition.state == "off":
                self._open_again()

    def _open_again(self) -> None:
        try:
            self._source.open()
        except MeraError as error:
            self._condition = Condition("gone", "cannot_open", str(error))
        else:
            self._is_open, self._condition = True, None


def _off(code: ReasonCode) -> Condition:
    return Condition("off", code, MEANINGS[code])
