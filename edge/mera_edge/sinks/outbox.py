"""A queue of jobs with a worker thread, so that callers never block."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

_STEP_S = 0.02

Job = Callable[[], float | None]
"""Returns ``None`` when done, or the seconds after which to retry it."""


class Outbox:
    """A bounded queue of jobs, and a daemon thread that runs them in order.

    A job that hangs does not keep the process alive.

    Args:
        name: of the thread.
        size: capacity. When the queue is full, the oldest job is dropped.

    Attributes:
        dropped: number of jobs dropped.
    """

    def __init__(self, name: str, size: int) -> None:
        self.dropped = 0
        self._size = size
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._began_s = 0.0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_empty(self) -> bool:
        """Whether no job is queued behind the running one."""
        return not self._waiting

    def put(self, job: Job) -> bool:
        """Queue a job without blocking; return whether no other was dropped for it."""
        with self._changed:
            if self._closed:
                return True
            full = len(self._waiting) == self._size
            if full:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(job)
            self._changed.notify()
        return not full

    def close(self, last: Job) -> None:
        """Queue a last job, which is never dropped; the thread ends after it.

        From now on jobs are not retried: the thread ends when one fails.
        """
        with self._changed:
            if not self._closed:
                self._waiting.append(last)
                self._closed = True
                self._changed.notify()

    def abandon(self) -> None:
        """Clear the queue and accept no more jobs; called by a job if no other can succeed."""
        with self._changed:
            self._waiting.clear()
            self._closed = True

    def wait(self, until_s: float, patience_s: float) -> int:
        """Wait for the thread to end after `close`.

        Args:
            until_s: deadline, by `time.monotonic`.
            patience_s: do not wait for a job that has run for longer than this.

        Returns:
            The number of jobs that were not done.
        """
        while time.monotonic() < until_s and not self._hangs(patience_s):
            self._thread.join(_STEP_S)
            if not self._thread.is_alive():
                break
        with self._changed:
            return len(self._waiting) + (self._current is not None)

    def _hangs(self, patience_s: float) -> bool:
        with self._changed:
            took_s = time.monotonic() - self._began_s
            return self._current is not None and took_s > patience_s

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                self._current, self._began_s = self._waiting.popleft(), time.monotonic()
            while (again_s := self._current()) is not None:
                with self._changed:
                    if self._closed:
                        return
                    self._began_s = math.inf
                    self._changed.wait_for(lambda: self._closed, again_s)
                    self._began_s = time.monotonic()
            with self._changed:
                self._current = None
