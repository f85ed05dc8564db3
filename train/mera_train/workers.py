"""A pool of worker processes for feature extraction."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from mera_edge.errors import MeraError


class WorkerLost(MeraError):
    """A worker process ended before its task did."""


@contextmanager
def pool(
    count: int | None = None,
    prepare: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Create a pool of spawned processes: ``count``, or one per core.

    Each calls ``prepare`` with ``given`` before its first task. They end with this process, however
    it ends; on an error, pending tasks are dropped.

    Not forked: torch and TensorBoard have threads, and a lock held by one of them during a fork
    stays locked in the child forever.

    Raises:
        WorkerLost: one of them was killed.
    """
    fresh = multiprocessing.get_context("forkserver")
    processes = ProcessPoolExecutor(count, fresh, initializer=_begin, initargs=(prepare, given))
    try:
        yield processes
    except BrokenProcessPool as error:
        raise WorkerLost(
            "a worker process was killed, perhaps because memory ran out",
            "use fewer workers or free some memory; finished work is kept",
        ) from error
    finally:
        processes.shutdown(cancel_futures=True)


def _begin(prepare: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*given)


def _end_with_parent() -> None:
    # A worker's own copy of the queue would keep it waiting forever for a killed parent.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
