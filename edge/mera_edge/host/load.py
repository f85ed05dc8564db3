"""System load: CPU contention and thermal state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from mera_edge.host.sensors import SYSTEM, headroom, throttle_events

EVERY_S = 1.0
"""Interval between readings, which are cheap but not free."""

HOT_K, COOL_K = 2.0, 7.0
"""Thermal headroom in kelvin below which a board is hot, and above which no longer (hysteresis)."""


@dataclass(frozen=True, slots=True)
class SystemLoad:
    """The load of the machine."""

    contention: float = 0.0
    """Fraction, from 0 to 1, of the runnable time that was spent waiting for a CPU."""
    hot: bool = False
    """Whether the board throttles or is about to."""


class LoadMonitor:
    """Reads contention and thermal state, at most once a second.

    Must be created and called in the working thread. Contention is this thread's time in the run
    queue, divided by that plus its run time. Without scheduler statistics, the kernel's pressure
    stall information is used instead; it covers the whole machine, and is also high when other
    processes contend for CPUs that this thread does not need.
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
    """Return cumulative seconds that this thread waited for a CPU, and that it ran."""
    try:
        fields = (root / "proc/thread-self/schedstat").read_text(encoding="utf-8").split()
        return float(fields[1]) / 1e9, float(fields[0]) / 1e9
    except (OSError, IndexError):
        pass  # no scheduler statistics per thread
    try:
        some = (root / "proc/pressure/cpu").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return 0.0, 0.0
    stalled_s = float(some.rpartition("total=")[2]) / 1e6
    return stalled_s, time.monotonic() - stalled_s
