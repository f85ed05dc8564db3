"""A run from its first tick to its summary: sources, clock, pipeline and sinks joined."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence

from mera_edge.events import Summary
from mera_edge.runtime.clock import Clock
from mera_edge.runtime.perception import View
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.runtime.tally import Tally
from mera_edge.sinks import Sink
from mera_edge.sources.base import Captured, Source


def run(
    pipeline: Pipeline,
    sources: Sequence[Source],
    clock: Clock,
    sinks: Sequence[Sink],
    stop: threading.Event,
    ticks_per_second: float = 5.0,
    file: str | None = None,
) -> Summary:
    """Run until every source has ended or ``stop`` is set, and summarise.

    Args:
        pipeline: warmed up; it is reset first.
        sources: opened here, in this order, and closed here, whatever happens.
        clock: real for devices, virtual to read files as fast as the machine goes.
        sinks: each gets every event, and the summary at the end.
        stop: set it from a signal handler or another thread to end early.
        ticks_per_second: answers per second.
        file: name of the media file, for the summary.

    Raises:
        InputError: a file cannot be used.
        MissingExtra: a source needs a package that is not installed.
    """
    tally = Tally()
    pipeline.reset()
    period = 1.0 / ticks_per_second
    try:
        for source in sources:
            source.open()
        clock.start()
        moment, ended = 0.0, False
        while not ended and not stop.is_set():
            # After a tick that took too long the moments missed are left out, not made up for.
            moment = max(moment + period, math.floor(clock.now() / period) * period)
            clock.wait_until(moment, stop)
            began = time.perf_counter()
            now = clock.now()
            captured = _merge([source.poll(now) for source in sources])
            ended = all(source.ended for source in sources)
            view = View.of(sources)
            event = pipeline.tick(captured, now, view, last=ended or stop.is_set())
            tally.add(event, time.perf_counter() - began)
            for sink in sinks:
                sink.publish(event)
        summary = tally.summary(pipeline.transcript, clock.now()).model_copy(
            update={"file": file, "interrupted": not ended}
        )
    finally:
        for source in sources:
            source.close()
    for sink in sinks:
        sink.close(summary)
    return summary


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, so that a run ends with its summary."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _merge(parts: Sequence[Captured]) -> Captured:
    pictures = [part.picture for part in parts if part.picture is not None]
    return Captured(
        sounds=[sound for part in parts for sound in part.sounds],
        picture=max(pictures, key=lambda picture: picture.at_s, default=None),
    )
