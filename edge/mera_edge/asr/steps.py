"""A computation in steps, so that it can be spread over several ticks."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Generic, TypeVar

Result = TypeVar("Result")

Steps = Generator[None, None, Result]
"""Yields after every few milliseconds of work, and returns the result."""


class Resumable(Generic[Result]):
    """A computation that can be suspended and resumed.

    Args:
        steps: the computation.
    """

    def __init__(self, steps: Steps[Result]) -> None:
        self._steps = steps

    def advance(self, within_s: float) -> Result | None:
        """Run for at most ``within_s``, but at least one step.

        Returns:
            The result; ``None`` while there is more to do.
        """
        until = time.perf_counter() + within_s
        try:
            next(self._steps)
            while time.perf_counter() < until:
                next(self._steps)
        except StopIteration as done:
            result: Result = done.value
            return result
        return None


def finish(steps: Steps[Result]) -> Result:
    """Do all steps at once and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Result = done.value
            return result
