"""The MQTT sink."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from mera_edge.config import SinkSettings
from mera_edge.events import EmotionEvent, Summary
from mera_edge.sinks.mqtt import discovery
from mera_edge.sinks.mqtt.address import Address, identifier
from mera_edge.sinks.mqtt.broker import ONLINE, Broker
from mera_edge.sinks.mqtt.state import (
    LONGEST_WORDS,
    change,
    immediate_fields,
    sources,
    state,
)
from mera_edge.sinks.switchboard import Switchboard

EVERY_S = 1.0
"""Interval between states of a room without an important change."""


@dataclass
class _Room:
    """What was last published about a room."""

    published_s: float = -math.inf
    immediate: tuple[Any, ...] | None = None
    label: str | None = None
    words: str = ""
    announced: tuple[str, ...] | None = None


class MqttSink:
    """Publishes the state of every room once a second and at every change, retained for 30 s.

    After an outage only the current state is published. The emotion is that of the moment, which is
    smoothed.

    Args:
        settings: of the sink.
        switchboard: executes commands; without it none are accepted.

    Raises:
        InputError: the address cannot be used.
        MissingExtra: paho-mqtt is not installed.
    """

    newest_only: ClassVar = True

    def __init__(self, settings: SinkSettings, switchboard: Switchboard | None = None) -> None:
        self._address = Address.of(settings)
        self._discovery, self._words = settings.discovery, settings.transcript in ("final", "all")
        self._switchboard = switchboard
        self._birth = f"{self._discovery}/status"
        topics = [self._birth] if self._discovery else []
        if switchboard is not None:
            topics += [f"{self._address.base}/+/{name}/set" for name in discovery.SWITCHES]
        self._broker = Broker(self._address, topics, self._receive)
        self._rooms: dict[str, _Room] = {}
        self._ids: dict[str, str] = {}
        """Room ids by their form in topics."""
        self._bundle: str | None = None
        self._asked = threading.Event()
        """Whether Home Assistant has restarted, so that everything must be published again."""

    def publish(self, event: EmotionEvent) -> None:
        """Publish the state of the event's room.

        Raises:
            Unreachable: the broker does not answer.
            InputError: it refuses the connection, or its certificate is not trusted.
        """
        if event.about is not None:
            self._bundle = event.about.bundle
        if self._broker.connect() or self._asked.is_set():
            self._asked.clear()
            for room in self._rooms.values():
                room.announced, room.published_s = None, -math.inf
            self._announce(*discovery.machine_device(self._address, self._bundle))
        self._publish(event, time.monotonic())

    def reopen(self) -> None:
        """Do nothing: there is no file."""

    def check(self) -> None:
        """Check that the broker accepts the connection.

        Raises:
            MeraError: see `publish`.
        """
        self._broker.check()

    def close(self, summary: Summary) -> None:
        """Publish that we are offline and disconnect."""
        self._broker.close()

    def _publish(self, event: EmotionEvent, now_s: float) -> None:
        id = identifier(event.room_id)
        self._ids[id] = event.room_id or id
        board = self._switchboard
        switches = board.rooms.get(self._ids[id]) if board is not None else None
        said, base = self._rooms.setdefault(id, _Room()), f"{self._address.base}/{id}"
        has = tuple(sources(event))
        if said.announced != has:
            self._announce(
                *discovery.room_device(
                    self._address, id, event.room, has, switches is not None, self._words
                )
            )
            said.announced = has
        now = state(event, switches)
        immediate = immediate_fields(now)
        if now_s - said.published_s >= EVERY_S or immediate != said.immediate:
            said.published_s, said.immediate = now_s, immediate
            self._broker.publish(
                f"{base}/state", _json(now), retain=True, lasts_s=discovery.EXPIRES_S
            )
        self._tell_change(event, said, base)

    def _tell_change(self, event: EmotionEvent, said: _Room, base: str) -> None:
        """Publish a change of the moment, and a final text."""
        changed = change(said.label, event)
        said.label = event.moment.label if event.moment else None
        if changed is not None:
            self._broker.publish(f"{base}/event", _json(changed), lasts_s=discovery.EXPIRES_S)
        words = event.transcript.text if event.transcript.final else ""
        if self._words and words and words != said.words:
            said.words = words
            self._broker.publish(f"{base}/words", words[:LONGEST_WORDS])

    def _announce(self, topic: str, payload: dict[str, Any]) -> None:
        if self._discovery:
            self._broker.publish(
                f"{self._discovery}/{topic}", _json(payload), retain=True, sure=True
            )

    def _receive(self, topic: str, payload: bytes) -> None:
        """Process a message; anything but a valid command is ignored."""
        if topic == self._birth:
            if payload == ONLINE.encode():
                self._asked.set()
            return
        *_, id, name, _ = ("", "", *topic.split("/"))
        room, wanted = self._ids.get(id), {b"ON": True, b"OFF": False}.get(payload)
        board = self._switchboard
        if board is None or room not in board.rooms or wanted is None:
            return
        switch = "paused" if name == "pause" else name
        if name in discovery.SWITCHES:
            board.set(room, by=f"MQTT {self._address.shown}", **{switch: wanted})


def _json(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
