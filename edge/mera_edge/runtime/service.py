"""The live service: what a configuration says, running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from mera_edge.bundle import Bundle
from mera_edge.config import Settings
from mera_edge.errors import MeraError
from mera_edge.events import Summary
from mera_edge.runtime.clock import RealClock
from mera_edge.runtime.outlet import Outlet
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.runtime.session import Room, run_rooms
from mera_edge.runtime.strain import StrainGauge
from mera_edge.sinks import Sink
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sinks.log import SourceLog
from mera_edge.sources.select import select_rooms


class Service:
    """Rooms and sinks of a configuration.

    Args:
        settings: the configuration.
        stop: ends a run.
        say: takes a line for the operator.

    Raises:
        MeraError: something of it cannot be used.

    Attributes:
        models: the bundle.
        rooms: with their models loaded.
    """

    def __init__(
        self, settings: Settings, stop: threading.Event, say: Callable[[str], None]
    ) -> None:
        self._stop, self._say = stop, say
        self.models = Bundle.open(settings.bundle, settings.providers)
        self._take(settings)

    def open_sinks(self, append: bool = False) -> list[Sink]:
        """Open the sinks. One that fails later does not end the run, unless nobody reads any more.

        Args:
            append: whether files are gone on with.

        Raises:
            InputError: a file cannot be written.
        """
        targets = self.settings.sink
        self._read_by = len(targets)
        outlets = [
            Outlet(JsonLines(target, append), f"sink {target}", self._say, self._lost_reader)
            for target in targets
        ]
        return [*outlets, SourceLog(self._say)]

    def guarded(self, sink: Sink, name: str) -> Sink:
        """Return a sink whose failures are said and do not end the run."""
        return Outlet(sink, name, self._say, lambda: None)

    def run(self, sinks: Sequence[Sink]) -> Summary:
        """Warm up and run until all sources have ended or ``stop`` is set."""
        for room in self.rooms:
            room.pipeline.warm_up()
        rate = self.settings.ticks_per_second
        return run_rooms(self.rooms, RealClock(), sinks, self._stop, rate)

    def reload(self, read: Callable[[], Settings]) -> list[Sink]:
        """Read the configuration again and open its sinks; if that fails, go on as before."""
        before, models = self.settings, self.models
        try:
            settings = read()
            if (settings.bundle, settings.providers) != (before.bundle, before.providers):
                self.models = Bundle.open(settings.bundle, settings.providers)
            self._take(settings)
            sinks = self.open_sinks(append=True)
        except MeraError as error:
            self._say(f"the new configuration cannot be used, the old one stays: {error}")
            self.models = models
            self._take(before)
            return self.open_sinks(append=True)
        self._say("goes on with the new configuration")
        return sinks

    def _take(self, settings: Settings) -> None:
        wanted = settings.rooms
        sources = select_rooms([(room.id, *room.addresses()) for room in wanted])
        strain = StrainGauge()
        self.settings = settings
        budget_ms, recognition = settings.room_budget_ms, settings.recognition
        self.rooms = [
            Room(
                Pipeline(self.models, budget_ms, strain, recognition, rooms=len(wanted)),
                of_room,
                room.name,
                room.id,
            )
            for room, of_room in zip(wanted, sources, strict=True)
        ]

    def _lost_reader(self) -> None:
        self._read_by -= 1
        if not self._read_by:
            self._stop.set()
