"""What each stage of a tick took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Adds up the time of every stage since `start`, in wall-clock milliseconds.

    Wall-clock time on purpose: when another process has the processor, the answer is late all
    the same.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin a tick."""
        self._began = time.perf_counter()
        self.stages_ms: dict[str, float] = {}

    @property
    def total_ms(self) -> float:
        """Time since `start`."""
        return (time.perf_counter() - self._began) * 1000

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took_ms = (time.perf_counter() - began) * 1000
            self.stages_ms[name] = self.stages_ms.get(name, 0.0) + took_ms
