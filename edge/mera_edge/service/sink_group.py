"""The sinks of a live run, each in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from mera_edge.config import SinkSettings, Words
from mera_edge.errors import Unreachable
from mera_edge.events import EmotionEvent, Summary
from mera_edge.pipeline.pipeline import Observer, TickResult
from mera_edge.redaction import redacted
from mera_edge.service.control import Control
from mera_edge.sinks import Destination, Sink
from mera_edge.sinks.factory import open_sink
from mera_edge.sinks.queued import WAITING, QueuedSink
from mera_edge.sinks.selection import Selection
from mera_edge.sinks.switchboard import Switchboard
from mera_edge.sinks.words import summary_without_words, without_words

DRAIN_S = 1.0
"""What all sinks together are given at the end for the events that wait."""


class SinkGroup:
    """Passes events on to every sink; is a sink itself, one that nobody ever waits for.

    It stops the run when nobody reads any more, or when every sink fails and none ever worked.

    Args:
        stop: ends the run.
        switchboard: for sinks that take commands.
    """

    def __init__(
        self,
        stop: threading.Event,
        switchboard: Switchboard | None = None,
    ) -> None:
        self._stop, self._switchboard = stop, switchboard or Control()
        self._named: dict[SinkSettings, QueuedSink[EmotionEvent]] = {}
        """Those of the configuration."""
        self._selections: dict[SinkSettings, Selection] = {}
        self._others: list[QueuedSink[EmotionEvent]] = []
        self._observers: list[QueuedSink[TickResult]] = []
        self._closed: list[QueuedSink[EmotionEvent]] = []
        self._until_s: float | None = None

    def open(self, targets: Sequence[SinkSettings]) -> dict[SinkSettings, Destination]:
        """Open those of the targets that are not open yet, for `use`.

        Raises:
            InputError: one cannot be used.
        """
        places = {target.place for target in targets}
        return {
            place: open_sink(place, self._switchboard)
            for place in places
            if place not in self._named
        }

    def use(
        self,
        targets: Sequence[SinkSettings],
        new: dict[SinkSettings, Destination],
        summary: Summary | None = None,
    ) -> None:
        """Go on with these targets.

        Args:
            new: what `open` gave for them.
            summary: for the sinks that end here.
        """
        before = self._named
        self._named = {
            place: before[place] if place in before else self._queued(place, new[place])
            for place in (target.place for target in targets)
        }
        selections = self._selections
        self._selections = {target.place: Selection(target) for target in targets}
        for target in before.keys() - self._named.keys():
            _close(before[target], summary, selections[target].words)
            self._closed.append(before[target])

    def add(self, name: str, sink: Sink, waiting: int = WAITING) -> None:
        """Add a sink that the configuration does not name: see `QueuedSink`."""
        self._others.append(QueuedSink(sink, name, waiting=waiting))

    def observe(self, name: str, observer: Observer) -> None:
        """Add an observer: it has a thread and a queue as the sinks have."""
        self._observers.append(QueuedSink(observer, name))

    @property
    def observers(self) -> Sequence[Observer]:
        """Those that were added, for the session."""
        return self._observers

    def publish(self, event: EmotionEvent) -> None:
        """Queue an event for every sink."""
        for target, named in self._named.items():
            selection = self._selections[target]
            if selection.takes(event):
                named.publish(without_words(event, selection.words))
        for sink in self._others:
            sink.publish(event)

    def reopen(self) -> None:
        """Have files that were moved away opened again."""
        for sink in self._named.values():
            sink.reopen()

    def close(self, summary: Summary | None) -> None:
        """Queue the end, with the summary unless the run broke off; see `wait`."""
        if self._until_s is None:
            self._until_s = time.monotonic() + DRAIN_S
            for target, named in self._named.items():
                _close(named, summary, self._selections[target].words)
            others: list[QueuedSink[Any]] = [*self._others, *self._observers]
            for sink in others:
                sink.close(summary)

    def wait(self) -> None:
        """Wait after `close` until every sink has taken what it was given, `DRAIN_S` at most.

        Raises:
            MeraError: no sink of the configuration has ever worked, or another one fails.
        """
        for sink in (*self._closed, *self._open):
            sink.wait(self._until_s or 0.0)
        others: list[QueuedSink[Any]] = [*self._others, *self._observers]
        failures = [self._failure(), *(sink.error for sink in others)]
        for error in filter(None, failures):
            raise error

    @property
    def _open(self) -> tuple[QueuedSink[Any], ...]:
        return *self._named.values(), *self._others, *self._observers

    def _queued(self, target: SinkSettings, to: Destination) -> QueuedSink[EmotionEvent]:
        return QueuedSink(
            to,
            f"sink {redacted(target.to)}",
            changed=self._changed,
            reopen=to.reopen,
            newest_only=to.newest_only,
        )

    def _changed(self) -> None:
        failure = self._failure()
        fails = failure is not None and not isinstance(failure, Unreachable)
        if fails or all(sink.gone for sink in self._named.values()):
            self._stop.set()

    def _failure(self) -> Exception | None:
        """Return why no sink has ever worked, if that is so and all of them say why."""
        named = list(self._named.values())
        errors = [sink.error for sink in named if sink.error and not sink.gone]
        if not errors or any(sink.worked for sink in (*named, *self._closed)):
            return None
        if len(errors) + sum(sink.gone for sink in named) < len(named):
            return None
        return errors[0]


def _close(sink: QueuedSink[EmotionEvent], summary: Summary | None, words: Words) -> None:
    sink.close(summary and summary_without_words(summary, words))
