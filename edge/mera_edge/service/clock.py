"""Time, real or simulated: the one difference between a live run and a file read fast."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Stream time in seconds, from 0."""

    @property
    def goes_on(self) -> bool:
        """Whether the time comes that is waited for."""

    def start(self) -> None:
        """Begin at 0."""

    def now(self) -> float:
        """Return the stream time."""

    def wait_until(self, moment_s: float, stop: threading.Event) -> None:
        """Return at stream time ``moment_s``, or as soon as ``stop`` is set."""

    def slept_s(self) -> float:
        """Return how long the machine has slept since the last call; the time stood still."""


class RealClock:
    """Time as it passes, unmoved by corrections of the time of day."""

    goes_on = True

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._asleep_s = _asleep_s()

    def start(self) -> None:
        """Set the clock to zero."""
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def wait_until(self, moment_s: float, stop: threading.Event) -> None:
        """Return at ``moment_s``, or as soon as ``stop`` is set."""
        stop.wait(max(0.0, moment_s - self.now()))

    def slept_s(self) -> float:
        """Return how long the machine has slept since the last call: less than a second is none."""
        slept_s = _asleep_s() - self._asleep_s
        if slept_s < 1.0:
            return 0.0
        self._asleep_s += slept_s
        return slept_s


def _asleep_s() -> float:
    """Return how long the machine has slept since it started: one clock goes on meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class VirtualClock:
    """Time that jumps to the moment waited for."""

    goes_on = True

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

    def slept_s(self) -> float:
        """Return 0: nobody waits for it."""
        return 0.0


class SteppedClock:
    """Time that its owner sets."""

    goes_on = False

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

    def slept_s(self) -> float:
        """Return 0: its owner knows."""
        return 0.0
