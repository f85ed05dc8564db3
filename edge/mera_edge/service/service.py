"""The live service: what a configuration says, running until its operator ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings, RoomSettings, Settings
from mera_edge.errors import MeraError
from mera_edge.events import Summary
from mera_edge.host.load import LoadMonitor
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.pipeline.stamp import run_info
from mera_edge.redaction import redacted
from mera_edge.service.audit import AuditLog, state_directory
from mera_edge.service.clock import RealClock
from mera_edge.service.control import Control
from mera_edge.service.run_loop import Room, Session
from mera_edge.service.signals import Signals, Stopped
from mera_edge.service.sink_group import SinkGroup
from mera_edge.service.systemd.notify import Heartbeat
from mera_edge.sinks import Sink
from mera_edge.sinks.log import SourceLog
from mera_edge.sources.select import select_rooms
from mera_edge.sources.shared import Devices
from mera_edge.sources.switched import Off, Switched

_LOG = logging.getLogger(__name__)

WORDS_KEPT = 1000
"""Characters of each room's transcript in the summary: events have them all."""


class Service:
    """Rooms and sinks of a configuration.

    Args:
        settings: the configuration.
        signals: what the operator wants.
        sinks: the sinks; those of the configuration are opened here.
        configured_sinks: whether the sinks of the configuration are used.
        control: what is switched off.

    Raises:
        MeraError: something of it cannot be used.

    Attributes:
        models: the bundle.
        rooms: with their models loaded.
    """

    def __init__(
        self,
        settings: Settings,
        signals: Signals,
        sinks: SinkGroup,
        control: Control | None = None,
        configured_sinks: bool = True,
    ) -> None:
        self._signals, self._sinks = signals, sinks
        self._control = control or Control()
        directory = state_directory(settings)
        self._audit = None if directory is None else AuditLog(directory)
        self._devices, self._load = Devices(), LoadMonitor()
        self._made: list[tuple[_Made, Room]] = []
        self._settings = settings
        self.models = _models(settings)
        _LOG.info("%s", _described(settings, self.models))
        if configured_sinks:
            sinks.use(settings.sinks, sinks.open(settings.sinks))
        self._made = self._make(settings, self.models)
        self.rooms = [room for _, room in self._made]
        if self._audit is not None:
            self._control.remember(self._audit.switches)
            self._control.subscribe(self._audit.switched)
            self._audit.started(settings, self.models)
        self._control.use(room.id for room in settings.rooms)

    def run(self, read: Callable[[], Settings]) -> Summary:
        """Run until all sources have ended or the operator wants it.

        Args:
            read: reads the configuration again.

        Raises:
            MeraError: a source cannot be opened, or no sink has ever worked.
        """
        stop, reload, reopen = self._signals.stop, self._signals.reload, self._signals.reopen
        pause = self._signals.pause
        heartbeat = Heartbeat(lambda: [room.id for room in self.rooms if not room.ended])
        sinks: list[Sink] = [self._sinks, SourceLog(), heartbeat]
        try:
            rate, observers = self._settings.ticks_per_second, self._sinks.observers
            with Session(RealClock(), sinks, rate, WORDS_KEPT, observers) as session:
                session.use_rooms(self.rooms)
                while session.is_running(stop):
                    session.tick(stop)
                    if reopen.is_set() or reload.is_set():
                        self._sinks.reopen()
                        reopen.clear()
                    if pause.is_set():
                        pause.clear()
                        self._control.toggle("signal")
                    if reload.is_set():
                        reload.clear()
                        heartbeat.reloads()
                        self._reload(session, read)
                heartbeat.stops()
                summary = session.summary()
                # The sinks take what is left while the devices are let go of.
                self._sinks.close(summary)
                if self._audit is not None:
                    self._audit.stopped(summary.events)
        finally:
            self._sinks.close(None)
            self._sinks.wait()
        return summary

    def _reload(self, session: Session, read: Callable[[], Settings]) -> None:
        """Go on with the configuration read again, or as before if that fails."""
        before, models = self._settings, self.models
        try:
            with self._signals.stop_at_once():
                settings = read()
                if _of_models(settings) != _of_models(before):
                    models = _models(settings)
                made = self._make(settings, models)
                # Late: what is opened here, such as a port, stays open if a room fails.
                new_sinks = self._sinks.open(settings.sinks)
                session.use_rooms([room for _, room in made])
        except MeraError as error:
            _LOG.error("the new configuration is invalid, keeping the old one: %s", error)
            return
        except Stopped:
            return
        session.ticks_per_second = settings.ticks_per_second
        self._sinks.use(settings.sinks, new_sinks, session.summary())
        kept = sum(room in self.rooms for room in session.rooms)
        self._settings, self.models, self._made = settings, models, made
        self.rooms = list(session.rooms)
        self._control.use(room.id for room in settings.rooms)
        for room in self.rooms:
            room.pipeline.switch(self._mode(settings))
        if self._audit is not None:
            self._audit.configured(settings, models)
        _LOG.info(
            "running with the new configuration; %d of %d rooms are unchanged", kept, len(made)
        )

    def _make(self, settings: Settings, models: Bundle) -> list[tuple[_Made, Room]]:
        """Return the rooms of a configuration; those that are what they were are the same."""
        made: list[tuple[_Made, Room]] = []
        for wanted in settings.rooms:
            of = (wanted, wanted.addresses(), settings.recognition, models)
            room = next((room for before, room in self._made if before == of), None)
            made.append((of, room or self._room(settings, *of)))
        return made

    def _room(
        self,
        settings: Settings,
        wanted: RoomSettings,
        addresses: tuple[str, str],
        recognition: RecognitionSettings,
        models: Bundle,
    ) -> Room:
        (sources,) = select_rooms([(wanted.id, *addresses)], self._devices)
        pipeline = Pipeline(models, self._mode(settings), recognition)
        pipeline.warm_up()
        id = wanted.id

        def off() -> Off:
            wanted = self._settings.privacy.modalities
            excluded = [name for name in MODALITIES if name not in wanted]
            return {**dict.fromkeys(excluded, "excluded"), **self._control.of(id).off}

        return Room(
            pipeline, [Switched(source, off) for source in sources], wanted.name, id, off=off
        )

    def _mode(self, settings: Settings) -> Live:
        return Live(self._load, settings.room_budget_ms, len(settings.rooms))


def _of_models(settings: Settings) -> tuple[object, ...]:
    return settings.bundle, settings.providers, settings.published


def _models(settings: Settings) -> Bundle:
    return Bundle.open(settings.bundle, settings.providers, settings.published)


def _described(settings: Settings, bundle: Bundle) -> str:
    """Return the first line of a run: what runs, on what."""
    what = run_info(bundle)
    rooms = "; ".join(
        f"{room.id}: camera {redacted(room.camera)}, microphone {redacted(room.mic)}"
        for room in settings.rooms
    )
    models = f"bundle {what.bundle} ({what.bundle_id}), labels {', '.join(EMOTIONS)}"
    return f"mera-edge {what.version}, {models}; {rooms}"


_Made = tuple[RoomSettings, tuple[str, str], RecognitionSettings, Bundle]
"""All that a room is made of. One that stays the same is kept, with its devices and its memory."""
