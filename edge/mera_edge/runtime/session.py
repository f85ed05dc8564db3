"""A run from its first tick to its summary: sources, clock, pipelines and sinks joined."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from mera_edge.events import EmotionEvent, Summary
from mera_edge.runtime.clock import Clock
from mera_edge.runtime.perception import View
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.runtime.stamp import Stamp
from mera_edge.runtime.tally import Tally
from mera_edge.sinks import Sink
from mera_edge.sources.base import Captured, Source


@dataclass
class Room:
    """What sees and hears one room, and what makes sense of it.

    Attributes:
        pipeline: warmed up.
        sources: opened and closed by the run, in this order.
        name: what its events call it; ``None`` when it is the only one.
        id: the same for machines; ``None`` for files.
        ended: whether all its sources have ended.
    """

    pipeline: Pipeline
    sources: Sequence[Source]
    name: str | None = None
    id: str | None = None
    ended: bool = False

    def tick(self, now_s: float, stop: threading.Event) -> EmotionEvent:
        """Take what was captured up to stream time ``now_s`` and answer."""
        look = self.pipeline.looks(now_s)
        captured = _merge([source.poll(now_s, look) for source in self.sources])
        self.ended = all(source.ended for source in self.sources)
        last = self.ended or stop.is_set()
        event = self.pipeline.tick(captured, now_s, View.of(self.sources), last)
        return event.model_copy(update={"room": self.name, "room_id": self.id})


def run(
    pipeline: Pipeline,
    sources: Sequence[Source],
    clock: Clock,
    sinks: Sequence[Sink],
    stop: threading.Event,
    ticks_per_second: float = 5.0,
    file: str | None = None,
) -> Summary:
    """Run one room: see `run_rooms`.

    Args:
        file: name of the media file, for the summary.
    """
    room = Room(pipeline, sources)
    return run_rooms([room], clock, sinks, stop, ticks_per_second, file)


def run_rooms(
    rooms: Sequence[Room],
    clock: Clock,
    sinks: Sequence[Sink],
    stop: threading.Event,
    ticks_per_second: float = 5.0,
    file: str | None = None,
) -> Summary:
    """Run until every source has ended or ``stop`` is set, and summarise.

    Args:
        rooms: take turns, evenly over a period. Their pipelines are reset first; their sources
            are closed whatever happens.
        clock: real for devices, virtual to read files as fast as the machine goes.
        sinks: each gets every event, and the summary at the end.
        stop: set it from a signal handler or another thread to end early.
        ticks_per_second: answers per second and room.
        file: name of the media file, for the summary.

    Raises:
        InputError: a file cannot be used.
        MissingExtra: a source needs a package that is not installed.
    """
    tally, stamp = Tally(), Stamp(rooms[0].pipeline.about)
    turn_s = 1.0 / ticks_per_second / len(rooms)
    sources = [source for room in rooms for source in room.sources]
    try:
        for room in rooms:
            room.pipeline.reset()
        for source in sources:
            source.open()
        clock.start()
        moment = 0.0
        for room in _in_turn(rooms, stop):
            # After a tick that took too long the moments missed are left out, not made up for.
            moment = max(moment + turn_s, math.floor(clock.now() / turn_s) * turn_s)
            clock.wait_until(moment, stop)
            began = time.perf_counter()
            event = stamp.put(room.tick(clock.now(), stop))
            tally.add(event, time.perf_counter() - began)
            for sink in sinks:
                sink.publish(event)
        summary = tally.summary(_transcript(rooms), clock.now()).model_copy(
            update={"file": file, "interrupted": not all(room.ended for room in rooms)}
        )
    finally:
        for source in sources:
            source.close()
    for sink in sinks:
        sink.close(summary)
    return summary


class Signals:
    """What the operator wants, told by signals.

    Attributes:
        stop: set by every one of them: the run ends, with its summary.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._end = self._hung_up = False

    def take(self, number: int, frame: FrameType | None) -> None:
        """Be a signal handler."""
        if number == signal.SIGHUP:
            self._hung_up = True
        else:
            self._end = True
        self.stop.set()

    def begin_again(self) -> bool:
        """Return whether the run was ended by nothing but a hang-up, and forget that."""
        hung_up, self._hung_up = self._hung_up, False
        if hung_up and not self._end:
            self.stop.clear()
            return not self._end  # another signal may have come in between
        return False


@contextlib.contextmanager
def take_signals(numbers: Sequence[signal.Signals]) -> Iterator[Signals]:
    """Have the given signals end a run with its summary, instead of at once."""
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, so that a run ends with its summary."""
    with take_signals([signal.SIGINT, signal.SIGTERM]) as signals:
        yield signals.stop


def _in_turn(rooms: Sequence[Room], stop: threading.Event) -> Iterator[Room]:
    while not all(room.ended for room in rooms):
        for room in rooms:
            if stop.is_set():
                return
            if not room.ended:
                yield room


def _transcript(rooms: Sequence[Room]) -> str:
    said = [(room.name, room.pipeline.transcript) for room in rooms]
    return "\n".join(f"{name}: {text}" if name else text for name, text in said if text)


def _merge(parts: Sequence[Captured]) -> Captured:
    pictures = [part.picture for part in parts if part.picture is not None]
    return Captured(
        sounds=[sound for part in parts for sound in part.sounds],
        picture=max(pictures, key=lambda picture: picture.at_s, default=None),
    )
