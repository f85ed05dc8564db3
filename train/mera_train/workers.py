"""Processes that compute features beside each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def pool(
    count: int | None = None,
    prepare: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, one a core unless ``count`` says otherwise.

    Each calls ``prepare`` with what is ``given`` before its first task.

    Not forked: torch and TensorBoard have threads, and a lock that one of them holds while the
    process forks stays locked in the child for ever.
    """
    fresh = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(count, fresh, initializer=prepare, initargs=given)
