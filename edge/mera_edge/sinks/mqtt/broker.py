"""A connection to an MQTT broker, with reasons for failures."""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mera_edge.errors import InputError, MeraError, MissingExtra, Unreachable
from mera_edge.sinks.mqtt.address import Address
from mera_edge.sinks.mqtt.connection_error import connection_error, refusal

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_KEEPALIVE_S, _CONNECT_S, _ANSWER_S = 10, 2.0, 2.0
_AGAIN_S = 0.5
"""Interval between attempts to connect."""
_REFUSED_S = 30.0
"""Interval after the broker rejected publishing, or another client used our name."""
_LEAVE_S = 0.5
"""Timeout for the last message before the connection is closed."""
_MOST_WAITING = 20
"""Maximum number of messages without acknowledgement."""

ONLINE, OFFLINE = "online", "offline"


class Broker:
    """Connects only on request, never automatically, so that only current states are published.

    Every connection is a new client, so that unsent messages of the previous one are discarded.

    Args:
        address: of the broker.
        topics: topics to subscribe to.
        receive: called with topic and payload of messages, in another thread; retained messages are
            ignored, since they are outdated.

    Raises:
        MissingExtra: paho-mqtt is not installed.
    """

    def __init__(
        self, address: Address, topics: Sequence[str], receive: Callable[[str, bytes], None]
    ) -> None:
        try:
            import paho.mqtt.client  # noqa: F401
        except ImportError as error:
            raise MissingExtra("paho-mqtt", "mqtt") from error
        self._address, self._topics, self._receive = address, topics, receive
        self._status = f"{address.base}/status"
        self._id = f"mera-edge-{address.node}-{uuid.uuid4().hex[:8]}"
        self._denied = threading.Event()
        """Whether our status was overwritten with offline."""
        self._client: Client | None = None
        self._again_s = 0.0
        self._error: MeraError | None = None
        """Why there is no connection."""
        self._refused: MeraError | None = None
        """Error reported asynchronously by the broker."""

    def connect(self) -> bool:
        """Connect unless already connected; return whether it is a new connection.

        Raises:
            Unreachable: the broker does not answer.
            InputError: it refuses the connection, or its certificate is not trusted.
        """
        if self._refused is not None:
            self._error, self._refused = self._refused, None
            self._again_s = time.monotonic() + _REFUSED_S
        if self._error is not None and time.monotonic() < self._again_s:
            raise self._error
        if self._client is not None and self._client.is_connected():
            if self._denied.is_set():
                self._denied.clear()
                self.publish(self._status, ONLINE, retain=True, sure=True)
            return False
        self._leave()
        self._error = None
        try:
            self._client = self._connected()
        except MeraError as error:
            self._error = error
            raise
        finally:
            self._again_s = time.monotonic() + _AGAIN_S
        self.publish(self._status, ONLINE, retain=True, sure=True)
        return True

    def publish(
        self,
        topic: str,
        payload: str,
        retain: bool = False,
        sure: bool = False,
        lasts_s: int | None = None,
    ) -> None:
        """Send a message.

        Args:
            topic: without wildcards.
            payload: text.
            retain: whether the broker keeps it for later subscribers.
            sure: whether to wait for the broker's acknowledgement (QoS 1).
            lasts_s: message expiry interval.

        Raises:
            Unreachable: the connection was lost.
            InputError: the broker refuses it.
        """
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if lasts_s is not None:
            properties.MessageExpiryInterval = lasts_s
        if self._client is None:
            raise self._lost()
        sent = self._client.publish(topic, payload, int(sure), retain, properties)
        if sent.rc:
            raise self._lost()
        if sure:
            sent.wait_for_publish(_ANSWER_S)
            refused, self._refused = self._refused, None
            if refused is not None or not sent.is_published():
                raise refused or self._lost()

    def check(self) -> None:
        """Connect and disconnect again, without publishing anything.

        Raises:
            MeraError: see `connect`.
        """
        self._client = self._connected()
        self._leave()

    def close(self) -> None:
        """Publish that we are offline and disconnect, if there is a connection."""
        if self._client is not None and self._client.is_connected():
            last = self._client.publish(self._status, OFFLINE, 1, retain=True)
            if not last.rc:
                last.wait_for_publish(_LEAVE_S)
        self._leave()

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _connected(self) -> Client:
        """Return a connected client."""
        from paho.mqtt.subscribeoptions import SubscribeOptions

        address, client = self._address, self._make()
        answered = threading.Event()
        answers: list[Any] = []

        def on_answer(client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
            if not code.is_failure:
                for topic in self._topics:
                    client.subscribe(topic, qos=1)
                client.subscribe(self._status, options=SubscribeOptions(qos=1, noLocal=True))
            answers.append(code)
            answered.set()

        def on_end(client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
            answered.set()

        def on_message(client: Any, data: Any, message: Any) -> None:
            if message.topic == self._status:
                self._see_other(message.payload, message.retain)
            elif not message.retain:
                self._receive(message.topic, message.payload)

        def on_acknowledged(client: Any, data: Any, id: int, code: Any, properties: Any) -> None:
            if code.is_failure:
                self._refused = InputError(
                    f"broker {address.shown} rejects publishing: {code}",
                    f"permit {address.base}/# and the discovery prefix, homeassistant/#",
                )

        client.on_connect, client.on_disconnect = on_answer, on_end
        client.on_message, client.on_publish = on_message, on_acknowledged
        try:
            client.connect(address.host, address.port, _KEEPALIVE_S, clean_start=True)
        except (OSError, ValueError) as error:
            raise connection_error(error, address) from error
        client.loop_start()
        answered.wait(_ANSWER_S)
        code = answers[0] if answers else None
        if code is not None and not code.is_failure:
            return client
        ended = answered.is_set()
        client.disconnect()
        client.loop_stop()
        raise refusal(code, address, ended)

    def _see_other(self, payload: bytes, retained: bool) -> None:
        """Process a status that was not published by this connection.

        After a power cut, the broker may publish the will of the previous connection only when we
        are already connected again.
        """
        if payload == OFFLINE.encode():
            self._denied.set()
        elif not retained:
            self._refused = InputError(
                f"broker {self._address.shown}: another mera-edge uses the name "
                f"{self._address.node}",
                "give each a `node` of its own: mqtt://HOST/PREFIX?node=attic",
            )

    def _make(self) -> Client:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        address = self._address
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._id,
            protocol=MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        client.max_queued_messages_set(_MOST_WAITING)
        client.will_set(self._status, OFFLINE, qos=1, retain=True)
        if address.user:
            client.username_pw_set(address.user, address.secret)
        if address.tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=address.ca_file))
            except OSError as error:
                raise InputError(
                    f"ca_file {address.ca_file} cannot be used ({error.strerror or error})",
                    "give a file of certificates (PEM)",
                ) from error
        return client

    def _lost(self) -> MeraError:
        return Unreachable(
            f"broker {self._address.shown} is no longer connected", "it is being reconnected"
        )
