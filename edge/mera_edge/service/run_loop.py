"""A run from its first tick to its summary: sources, clock, pipelines and sinks joined."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mera_edge.events import Summary
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Observer, Pipeline, TickResult
from mera_edge.pipeline.stamp import Stamp
from mera_edge.service.clock import Clock
from mera_edge.service.run_summary import SummaryBuilder
from mera_edge.sinks import Sink
from mera_edge.sources.base import Captured, Source
from mera_edge.sources.switched import Off

_LOG = logging.getLogger(__name__)

REST_S = 0.6
"""Time between ticks of a live room in which nobody is seen or heard. Pictures are compared as
often, and the recognizer's pre-roll is longer, so that no speech is lost."""

LEAST_S = 0.03
"""Least time between ticks of a room; words that become final sooner wait for the next one. As
often it is asked whether another thread is done with them."""


@dataclass(eq=False)
class Room:
    """What sees and hears one room, and what makes sense of it.

    Attributes:
        pipeline: warmed up.
        sources: opened and closed by the session, in this order.
        name: what its events call it; ``None`` when it is the only one.
        id: the same for machines; ``None`` for files.
        off: returns what is switched off.
        ended: whether all its sources have ended.
        began_s: stream time of the session when the room's own began.
        ticked_s: stream time of the session at its latest answer.
        due_s: stream time of the session at which its words are expected to become final.
    """

    pipeline: Pipeline
    sources: Sequence[Source]
    name: str | None = None
    id: str | None = None
    off: Callable[[], Off] = dict
    ended: bool = False
    began_s: float = 0.0
    ticked_s: float = -math.inf
    due_s: float = math.inf

    def rests(self, moment_s: float, turn_s: float) -> bool:
        """Return whether a tick at ``moment_s`` is left out because nobody is there."""
        if moment_s - self.ticked_s >= REST_S - turn_s / 2:
            return False
        return self.pipeline.is_resting(moment_s - self.began_s)

    def tick(self, now_s: float, stop: threading.Event, listen_only: bool = False) -> TickResult:
        """Take what was captured up to stream time ``now_s`` of the session and answer.

        Args:
            listen_only: leave the pictures for the next tick.
        """
        self.ticked_s = now_s
        now_s -= self.began_s
        needs_frame = not listen_only and self.pipeline.needs_frame(now_s)
        captured = _merge([source.poll(now_s, needs_frame) for source in self.sources])
        captured.is_heard_only = listen_only
        self.ended = all(source.ended for source in self.sources)
        last = self.ended or stop.is_set()
        result = self.pipeline.tick(
            captured, now_s, SourceAvailability.of(self.sources, self.off()), last
        )
        due_s = math.inf if last else self.began_s + self.pipeline.words_due_s(now_s)
        self.due_s = max(due_s, self.ticked_s + LEAST_S)
        event = result.event.model_copy(update={"room": self.name, "room_id": self.id})
        return replace(result, event=event)


class Session:
    """A run: rooms that take turns, whose events go to sinks. Closes the sources when it is left.

    Args:
        clock: real for devices, virtual to read files as fast as the machine goes.
        sinks: each gets every event.
        ticks_per_second: answers per second and room.
        words_kept: characters of each room's transcript in the summary, the newest; all if unset.
        observers: each gets all that came of every tick.

    Attributes:
        rooms: in their order; see `use_rooms`.
        ticks_per_second: may be changed.
    """

    def __init__(
        self,
        clock: Clock,
        sinks: Sequence[Sink],
        ticks_per_second: float = 5.0,
        words_kept: int | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.rooms: Sequence[Room] = ()
        self.ticks_per_second = ticks_per_second
        self._clock, self._sinks, self._observers = clock, sinks, observers
        self._words_kept = words_kept
        self._summary, self._stamp = SummaryBuilder(), Stamp()
        self._moment_s = 0.0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        _close(self.rooms)

    def use_rooms(self, rooms: Sequence[Room]) -> None:
        """Go on with these rooms: new ones begin, those that are not among them are closed.

        Raises:
            MeraError: a source cannot be opened; the rooms are those of before.
        """
        new = [room for room in rooms if room not in self.rooms]
        try:
            for room in new:
                room.pipeline.reset()
            for room in new:
                for source in room.sources:
                    source.open()
        except BaseException:
            _close(new)
            raise
        if not self.rooms:
            self._clock.start()
        for room in new:
            room.began_s = self._clock.now()
        self._stamp.announce(rooms[0].pipeline.about)
        before, self.rooms = self.rooms, rooms
        _close([room for room in before if room not in rooms])

    def is_running(self, stop: threading.Event) -> bool:
        """Whether a source may still give something, and nobody has stopped the run."""
        return not stop.is_set() and not all(room.ended for room in self.rooms)

    def tick(self, stop: threading.Event) -> None:
        """Let every room answer once."""
        turn_s = 1.0 / self.ticks_per_second / len(self.rooms)
        if slept_s := self._clock.slept_s():
            _LOG.warning("the machine slept for %.0f s: every room begins anew", slept_s)
            for room in self.rooms:
                room.pipeline.wake(slept_s)
        for room in self.rooms:
            if room.ended or stop.is_set():
                continue
            # After a tick that took too long the moments missed are left out, not made up for.
            now_s = self._clock.now()
            self._moment_s = max(self._moment_s + turn_s, math.floor(now_s / turn_s) * turn_s)
            self._hurry(stop)
            if not room.rests(self._moment_s, turn_s):
                self._answer(room, self._moment_s, stop)

    def _hurry(self, stop: threading.Event) -> None:
        """Let rooms answer before the next turn whose words are expected to become final."""
        while self._clock.goes_on and not stop.is_set():
            room = min(self.rooms, key=lambda room: room.due_s)
            if room.due_s > self._moment_s - LEAST_S:
                break
            self._clock.wait_until(room.due_s, stop)
            if room.pipeline.is_waiting:
                room.due_s += LEAST_S
            else:
                self._answer(room, room.due_s, stop, listen_only=True)

    def _answer(
        self, room: Room, moment_s: float, stop: threading.Event, listen_only: bool = False
    ) -> None:
        self._clock.wait_until(moment_s, stop)
        began = time.perf_counter()
        result = room.tick(self._clock.now(), stop, listen_only)
        result = replace(result, event=self._stamp.put(result.event))
        worked_s = time.perf_counter() - began
        self._summary.add(result.event, result.observation.now_s, worked_s)
        for sink in self._sinks:
            sink.publish(result.event)
        for observer in self._observers:
            observer.publish(result)

    def summary(self, file: str | None = None) -> Summary:
        """Sum up the run so far.

        Args:
            file: name of the media file.
        """
        interrupted = not all(room.ended for room in self.rooms)
        return self._summary.summary(self._transcript(), self._clock.now()).model_copy(
            update={"file": file, "interrupted": interrupted}
        )

    def _transcript(self) -> str:
        said = []
        for room in self.rooms:
            text = room.pipeline.transcript
            if self._words_kept is not None and len(text) > self._words_kept:
                text = "…" + text[-self._words_kept :]
            said += [f"{room.name}: {text}" if room.name else text] if text else []
        return "\n".join(said)


def run(
    pipeline: Pipeline,
    sources: Sequence[Source],
    clock: Clock,
    sinks: Sequence[Sink],
    stop: threading.Event,
    ticks_per_second: float = 5.0,
    file: str | None = None,
    observers: Sequence[Observer] = (),
) -> Summary:
    """Run one room: see `run_rooms`.

    Args:
        file: name of the media file, for the summary.
    """
    room = Room(pipeline, sources)
    return run_rooms([room], clock, sinks, stop, ticks_per_second, file, observers)


def run_rooms(
    rooms: Sequence[Room],
    clock: Clock,
    sinks: Sequence[Sink],
    stop: threading.Event,
    ticks_per_second: float = 5.0,
    file: str | None = None,
    observers: Sequence[Observer] = (),
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
        observers: each gets all that came of every tick, and the summary at the end.

    Raises:
        InputError: a file cannot be used.
        MissingExtra: a source needs a package that is not installed.
    """
    with Session(clock, sinks, ticks_per_second, observers=observers) as session:
        session.use_rooms(rooms)
        while session.is_running(stop):
            session.tick(stop)
        summary = session.summary(file)
    for sink in sinks:
        sink.close(summary)
    for observer in observers:
        observer.close(summary)
    return summary


def _merge(parts: Sequence[Captured]) -> Captured:
    frames = [part.frame for part in parts if part.frame is not None]
    return Captured(
        audio=[chunk for part in parts for chunk in part.audio],
        frame=max(frames, key=lambda frame: frame.at_s, default=None),
    )


def _close(rooms: Sequence[Room]) -> None:
    """Close all sources at the same time: each may take a while to let go of its device."""
    threads = [threading.Thread(target=source.close) for room in rooms for source in room.sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
