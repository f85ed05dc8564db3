"""How long to wait before the next try."""

from __future__ import annotations


class Backoff:
    """Waits that double with every failure in a row, up to a limit.

    Args:
        first_s: the first wait, in seconds.
        longest_s: no wait is longer.
    """

    def __init__(self, first_s: float = 0.25, longest_s: float = 2.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self.reset()

    def reset(self) -> None:
        """Take note of a success: the next wait is the first again."""
        self._next_s = self._first_s

    def wait_s(self) -> float:
        """Take note of a failure and return the seconds to wait."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s
