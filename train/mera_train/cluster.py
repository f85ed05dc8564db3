"""Calls on the workers of a Dask scheduler, where one machine is too small.

Workers may come and go: a call whose worker was lost is made again by another one. What a call
gives is kept here, by whoever asked, so that an interrupted run resumes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar

from mera_edge.errors import InputError

Given = TypeVar("Given")
Result = TypeVar("Result")

CONNECT_S = 20
"""How long a scheduler is waited for."""

_one_at_a_time = threading.Lock()


def called(
    address: str,
    function: Callable[[Given], Result],
    arguments: Iterable[Given],
    *,
    lost: Callable[[Given], Result],
    ahead: bool = True,
) -> Iterator[tuple[Given, Result]]:
    """Call a function on a cluster; yields arguments and results in the order of completion.

    Args:
        address: of the scheduler, for example ``tcp://host:8786``.
        function: of a module that the workers have as well.
        arguments: one per call.
        lost: called here instead where a call ended several workers.
        ahead: whether all arguments are taken at once; else one for every worker, and the next
            after a result was yielded.

    Raises:
        InputError: Dask is not installed, the scheduler does not answer or has gone, or the
            workers lack a module. What the function raises is raised here.
    """
    try:
        import distributed
    except ImportError as error:
        raise InputError("Dask is not installed", "pip install 'mera-edge[dask]'") from error
    dask: Any = distributed
    try:
        client = dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"the scheduler {address} does not answer ({error})",
            "start one with `dask scheduler`, and give its address",
        ) from error
    with client:
        if not client.nthreads():
            print(f"{address} has no workers yet: waiting for one", file=sys.stderr)
        waiting, done = iter(arguments), dask.as_completed(loop=client.loop)
        futures: dict[Any, Given] = {}

        def submit() -> None:
            room = None if ahead else max(1, len(client.nthreads())) - len(futures)
            for given in islice(waiting, room):
                future = client.submit(_alone, function, given, pure=False)
                futures[future] = given
                done.add(future)

        submit()
        for future in done:
            given = futures.pop(future)
            try:
                result = future.result()
            except dask.KilledWorker:
                result = lost(given)
            except CancelledError as error:
                raise InputError(
                    f"the scheduler {address} no longer answers",
                    "restart it and run the same command again: it resumes",
                ) from error
            except ModuleNotFoundError as error:
                raise InputError(
                    f"the workers of {address} have no {error.name}",
                    "install the same mera-edge there: pip install 'mera-edge[train,dask]'",
                ) from error
            yield given, result
            submit()


def _alone(function: Callable[[Given], Result], given: Given) -> Result:
    """Run on a worker, which may have several threads: pipelines and trainings share a process."""
    with _one_at_a_time:
        return function(given)
