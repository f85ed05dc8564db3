"""Times of two engines that take turns, so that what slows the machine slows both."""

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
    """Return the median time of one run of each engine in milliseconds.

    Args:
        engines: all with the same inputs.
        feeds: real ones; every engine gets each of them ``rounds`` times, in turn with the others.

    Raises:
        InputError: there are no feeds.
    """
    if not feeds:
        raise InputError("there is nothing to time the models with", "give calibration samples")
    times: list[list[float]] = [[] for _ in engines]
    for engine in engines:
        for _ in range(WARM_UP):
            engine.run(feeds[0])
    for turn in range(rounds):
        for number, fed in enumerate(feeds):
            # Who goes first changes: the second finds the inputs in the cache.
            order = range(len(engines)) if (turn + number) % 2 else reversed(range(len(engines)))
            for index in order:
                began = time.perf_counter()
                engines[index].run(fed)
                times[index].append(time.perf_counter() - began)
    return [1000 * median(taken) for taken in times]
