"""Interleaved timing of engines, so that load on the machine affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median

from mera_edge.engine import Engine
from mera_edge.engine.protocol import Array
from mera_edge.errors import InputError

WARM_UP = 3


def interleaved(
    engines: Sequence[Engine], feeds: Sequence[Mapping[str, Array]], rounds: int = 5
) -> list[float]:
    """Return the median run time of each engine, in milliseconds.

    Args:
        engines: all with the same inputs.
        feeds: recorded feeds; every engine runs each of them ``rounds`` times.
        rounds: repetitions.

    Raises:
        InputError: there are no feeds.
    """
    if not feeds:
        raise InputError("there are no feeds to time the models with", "give dev examples")
    times: list[list[float]] = [[] for _ in engines]
    for engine in engines:
        for _ in range(WARM_UP):
            engine.run(feeds[0])
    for turn in range(rounds):
        for number, fed in enumerate(feeds):
            # The order alternates: the second run finds the inputs in the cache.
            order = range(len(engines)) if (turn + number) % 2 else reversed(range(len(engines)))
            for index in order:
                began = time.perf_counter()
                engines[index].run(fed)
                times[index].append(time.perf_counter() - began)
    return [1000 * median(taken) for taken in times]
