"""Processes that compute features beside each other."""

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
    """Give a pool of fresh processes, one a core unless ``count`` says otherwise.

    Each calls ``prepare`` with what is ``given`` before its first task. They end with this process,
    however it ends, and with an error the tasks that wait are dropped.

    Not forked: torch and TensorBoard have threads, and a lock that one of them holds while the
    process forks stays locked in the child for ever.

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
    # Its own copy of the queue keeps a worker waiting for ever for a parent that was killed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
