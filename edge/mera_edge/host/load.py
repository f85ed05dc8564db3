"""How hard the machine is pressed: contention for its processors, and heat."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from mera_edge.host.sensors import SYSTEM, headroom, throttle_events

EVERY_S = 1.0
"""Between two looks: the files cost little, but not nothing."""

HOT_K, COOL_K = 2.0, 7.0
"""Headroom, in degrees, below which a board is hot, and above which it is so no longer."""


@dataclass(frozen=True, slots=True)
class SystemLoad:
    """How hard the machine is pressed."""

    contention: float = 0.0
    """Share, from 0 to 1, of the time in which work was to be done and waited for a processor."""
    hot: bool = False
    """Whether it is about to slow itself down, or does."""


class LoadMonitor:
    """Reads contention and heat, at most once a second. Made and called by the thread that works.

    Contention is what the scheduler made this thread wait, over that and what it let it run. The
    kernel's pressure stall information stands in where the scheduler keeps no such account: it is
    about the whole machine, and high also when others contend for processors that we do not need.
    """

    def __init__(self, root: Path = SYSTEM) -> None:
        self._root = root
        self._looked_s = time.monotonic()
        self._account = waited_and_worked(self._root)
        self._throttled = throttle_events(root)
        self._load = SystemLoad()

    def __call__(self) -> SystemLoad:
        """Return the newest reading."""
        now = time.monotonic()
        if now - self._looked_s >= EVERY_S:
            self._load = SystemLoad(self._contention(), self._hot())
            self._looked_s = now
        return self._load

    def _contention(self) -> float:
        before, self._account = self._account, waited_and_worked(self._root)
        waited, worked = (b - a for a, b in zip(before, self._account, strict=True))
        return waited / (waited + worked) if waited > 0 else 0.0

    def _hot(self) -> bool:
        throttled, self._throttled = self._throttled, throttle_events(self._root)
        left = headroom(self._root)
        limit = COOL_K if self._load.hot else HOT_K
        return self._throttled > throttled or (left is not None and left <= limit)


def waited_and_worked(root: Path = SYSTEM) -> tuple[float, float]:
    """Return the time, in seconds since some moment, that this thread's work waited and did not."""
    try:
        fields = (root / "proc/thread-self/schedstat").read_text(encoding="utf-8").split()
        return float(fields[1]) / 1e9, float(fields[0]) / 1e9
    except (OSError, IndexError):
        pass  # the kernel keeps no account of threads
    try:
        some = (root / "proc/pressure/cpu").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return 0.0, 0.0
    stalled_s = float(some.rpartition("total=")[2]) / 1e6
    return stalled_s, time.monotonic() - stalled_s
