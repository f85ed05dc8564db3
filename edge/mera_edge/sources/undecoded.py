"""Video packets that are not decoded until a picture is needed."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

_WINDOW: Final = 8
"""Packets in the moving average of sizes: with B pictures, large and small ones alternate."""
_MOVED: Final = 3.0
"""Ratio of this average to its recent minimum from which motion is assumed. In synthetic clips, a
person who enters raises it at once by a factor of 4 to 20, camera noise by up to 2."""
_CREEP: Final = 1.002
"""Growth of the recent minimum per packet: it doubles in 14 s at 25 pictures per second."""
_BUSY: Final = 1 / 20
"""Share of the key frame's size above which sizes say nothing: with strong noise or a constant bit
rate packets have 10 to 17 % of it, in a still room 1 %."""


class Motion:
    """Detects motion from packet sizes: packets between key frames encode what has changed."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque(maxlen=_WINDOW)
        self._least = math.inf
        self._key = 0

    def accept(self, size: int, is_key: bool) -> None:
        """Take the next packet."""
        if is_key:
            self._key = size
            return
        self._sizes.append(size)
        if len(self._sizes) == _WINDOW:
            self._least = min(self._least * _CREEP, self._mean)

    @property
    def is_still(self) -> bool:
        """Whether it is certain that nothing moves."""
        return (
            len(self._sizes) == _WINDOW
            and self._mean <= _MOVED * self._least
            and self._mean <= _BUSY * self._key
        )

    @property
    def _mean(self) -> float:
        return sum(self._sizes) / len(self._sizes)


class Undecoded:
    """The packets since the newest key frame, until a picture is needed.

    Attributes:
        motion: whether anything moves.
    """

    def __init__(self) -> None:
        self.motion = Motion()
        self._packets: list[Any] = []
        self._is_torn = False

    @property
    def has_news(self) -> bool:
        """Whether there are packets that have not been decoded."""
        return bool(self._packets)

    @property
    def begins_anew(self) -> bool:
        """Whether there is only a key frame, which is decoded without any other packet."""
        return len(self._packets) == 1 and bool(self._packets[0].is_keyframe)

    def add(self, packet: Any) -> None:
        """Take the next packet; a key frame replaces all packets before it."""
        if not packet.size:
            return
        self.motion.accept(packet.size, packet.is_keyframe)
        if packet.is_keyframe and self._packets:
            self._packets, self._is_torn = [], True
        self._packets.append(packet)

    def newest(self, is_needed: bool) -> Any | None:
        """Decode all packets and return the newest picture, unless it is not needed."""
        packets, self._packets = self._packets, []
        frame = None
        for packet in packets:
            decoder = packet.stream.codec_context
            if self._is_torn:
                decoder.flush_buffers()
                self._is_torn = False
            # Only the newest picture is shown: others are decoded only if later ones need them.
            decoder.skip_frame = "DEFAULT" if is_needed and packet is packets[-1] else "NONREF"
            for each in decoded(packet):
                frame = each
        return frame


def decoded(packet: Any) -> Iterator[Any]:
    """Yield the frames of a packet that can be decoded."""
    import av

    with contextlib.suppress(av.InvalidDataError):
        yield from packet.decode()
