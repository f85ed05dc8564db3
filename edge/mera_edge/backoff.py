"""Exponential backoff."""

from __future__ import annotations


class Backoff:
    """Delays that double with every consecutive failure, up to a limit.

    Args:
        first_s: first delay in seconds.
        longest_s: maximum delay in seconds.
    """

    def __init__(self, first_s: float = 0.25, longest_s: float = 2.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self.reset()

    def reset(self) -> None:
        """Record a success: the next delay is the first again."""
        self._next_s = self._first_s

    def wait_s(self) -> float:
        """Record a failure and return the delay in seconds."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s
