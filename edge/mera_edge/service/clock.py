"""Time, real or simulated: the one difference between a live run and a file read fast."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Stream time in seconds, from 0."""

    def start(self) -> None:
        """Begin at 0."""

    def now(self) -> float:
        """Return the stream time."""

    def wait_until(self, moment_s: float, stop: threading.Event) -> None:
        """Return at stream time ``moment_s``, or as soon as ``stop`` is set."""


class RealClock:
    """Time as it passes, unmoved by corrections of the time of day."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def start(self) -> None:
        """Set the clock to zero."""
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def wait_until(self, moment_s: float, stop: threading.Event) -> None:
        """Return at ``moment_s``, or as soon as ``stop`` is set."""
        stop.wait(max(0.0, moment_s - self.now()))


class VirtualClock:
    """Time that jumps to the moment waited for."""

    def __init__(self) -> None:
        self._now = 0.0

    def start(self) -> None:
        """Set the clock to zero."""
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds since the start."""
        return self._now

    def wait_until(self, moment_s: float, stop: threading.Event) -> None:
        """Return at ``moment_s``, or as soon as ``stop`` is set."""
        self._now = max(self._now, moment_s)


class SteppedClock:
    """Time that its owner sets."""

    def __init__(self) -> None:
        self._now = 0.0

    def set(self, now_s: float) -> None:
        """Go on to stream time ``now_s``."""
        self._now = now_s

    def start(self) -> None:
        """Set the clock to zero."""
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds since the start."""
        return self._now

    def wait_until(self, moment_s: float, stop: threading.Event) -> None:
        """Return at once: it is never later than its owner says."""
