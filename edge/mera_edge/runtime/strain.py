"""How hard the machine is pressed: contention for its processors, and heat."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mera_edge.runtime.board import SYSTEM, headroom, throttle_events
from mera_edge.runtime.budget import Strain

EVERY_S = 1.0
"""Between two looks: the files cost little, but not nothing."""

HOT_K, COOL_K = 2.0, 7.0
"""Headroom, in degrees, below which a board is hot, and above which it is so no longer."""


class StrainGauge:
    """Reads contention and heat, at most once a second.

    Contention comes from the kernel's pressure stall information, and from the load average where
    the kernel has none.
    """

    def __init__(self, root: Path = SYSTEM) -> None:
        self._root = root
        self._pressure = root / "proc/pressure/cpu"
        self._looked_s = time.monotonic()
        self._stalled_us = self._stalled()
        self._throttled = throttle_events(root)
        self._strain = Strain()

    def __call__(self) -> Strain:
        """Return the newest reading."""
        now = time.monotonic()
        gone_s = now - self._looked_s
        if gone_s >= EVERY_S:
            self._strain = Strain(self._contention(gone_s), self._hot())
            self._looked_s = now
        return self._strain

    def _contention(self, gone_s: float) -> float:
        if self._stalled_us is None:
            # Tasks beyond one per processor, per processor.
            return min(1.0, max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1))
        # The total, not the kernel's averages: those remember ten seconds.
        before, self._stalled_us = self._stalled_us, self._stalled()
        return min(1.0, ((self._stalled_us or before) - before) / 1e6 / gone_s)

    def _stalled(self) -> float | None:
        """Time, in microseconds, in which some task waited for a processor."""
        try:
            some = self._pressure.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, IndexError):
            return None
        return float(some.rpartition("total=")[2])

    def _hot(self) -> bool:
        throttled, self._throttled = self._throttled, throttle_events(self._root)
        left = headroom(self._root)
        limit = COOL_K if self._strain.hot else HOT_K
        return self._throttled > throttled or (left is not None and left <= limit)
