"""One picture that two processes share: the newest; never a queue."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE: Final = 1920
"""Of a picture that fits, in pixels."""

_TWICE = struct.Struct("<dd")
"""Times of the two latest accesses."""
_LOOKED, _POLLED = 0, _TWICE.size
"""Offsets of these: of requests for a picture, and of polls of the camera."""
_HEAD = struct.Struct("<QdII")
"""Number of the picture, time of its capture, height, width."""
_AT = 2 * _TWICE.size
_BYTES = _AT + _HEAD.size + 3 * LONGEST_SIDE**2
_TRIES, _PAUSE_S = 5, 0.001


class SharedFrame:
    """Memory without a name, which the system takes back when the last process has ended.

    A POSIX lock keeps a picture whole; the system lifts it when the process that holds it dies.

    Args:
        descriptor: of a slot that another process made; a new one when ``None``.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("mera-edge-picture")
            os.ftruncate(descriptor, _BYTES)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _BYTES)
        self._taken = 0

    def put(self, image: NDArray[np.uint8], captured_s: float) -> None:
        """Replace the picture.

        Args:
            image: ``[H, W, 3]``, no side longer than `LONGEST_SIDE`.
            captured_s: on the monotonic clock, which all processes share.
        """
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            number = _HEAD.unpack_from(self._memory, _AT)[0]
            pixels = np.frombuffer(self._memory, np.uint8, image.size, _AT + _HEAD.size)
            np.copyto(pixels.reshape(image.shape), image)
            _HEAD.pack_into(self._memory, _AT, number + 1, captured_s, *image.shape[:2])
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def is_watched(self, now_s: float, every_s: float) -> bool:
        """Return whether somebody looks for pictures, more often than each ``every_s``.

        Who glances at one now and then does not.
        """
        last_s, before_s = _TWICE.unpack_from(self._memory, _LOOKED)
        return bool(now_s - last_s <= every_s and last_s - before_s <= every_s)

    def polled(self) -> None:
        """Record a poll of the camera."""
        self._note(_POLLED)

    def is_polled_every(self, gap_s: float) -> bool:
        """Return whether the latest two polls were at least ``gap_s`` apart."""
        last_s, before_s = _TWICE.unpack_from(self._memory, _POLLED)
        return bool(before_s and last_s - before_s >= gap_s)

    def _note(self, where: int) -> None:
        last_s, _ = _TWICE.unpack_from(self._memory, where)
        _TWICE.pack_into(self._memory, where, time.monotonic(), last_s)

    def take(self) -> tuple[NDArray[np.uint8], float] | None:
        """Return the picture and the time of its capture, or ``None`` if it was taken before.

        Nobody is waited for longer than some milliseconds.
        """
        self._note(_LOOKED)
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_S)
                continue
            try:
                number, captured_s, height, width = _HEAD.unpack_from(self._memory, _AT)
                if number == self._taken:
                    return None
                self._taken = number
                size = 3 * height * width
                pixels = np.frombuffer(self._memory, np.uint8, size, _AT + _HEAD.size)
                return pixels.reshape(height, width, 3).copy(), captured_s
            finally:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        return None

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.descriptor)
