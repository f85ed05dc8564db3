"""A test broker: runs Debian's `mosquitto`, kills it and subscribes to it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

LIMIT_S = 60.0
FOUND = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Mosquitto:
    """A broker on loopback, with additional configuration lines."""

    def __init__(self, folder: Path, *lines: str, address: str = "127.0.0.1") -> None:
        self.port, self._address = free_port(), address
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        text = [
            f"listener {self.port} {address}",
            "user root",
            *(lines or ["allow_anonymous true"]),
        ]
        self._config.write_text("\n".join(text) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *within: str) -> None:
        """Start it, optionally under a wrapper command, and wait until it listens."""
        if FOUND is None:
            raise FileNotFoundError("mosquitto is not installed")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*within, FOUND, "-c", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + LIMIT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self._address, self.port)):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Listener:
    """Records all messages: the newest by topic, and all in order."""

    def __init__(self, port: int, host: str = "127.0.0.1", **login: str) -> None:
        self.newest: dict[str, str] = {}
        self.all: list[tuple[float, str, str, MQTTMessage]] = []
        self._changed = threading.Condition()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        if login:
            self.client.username_pw_set(login["user"], login["password"])
        self.client.on_message = self._take
        self.client.on_connect = lambda client, *_: client.subscribe("#")
        self.client.reconnect_delay_set(1, 1)
        self.client.connect(host, port)
        self.client.loop_start()

    def _take(self, client: Any, data: Any, message: MQTTMessage) -> None:
        text = message.payload.decode(errors="replace")
        with self._changed:
            self.newest[message.topic] = text
            self.all.append((time.monotonic(), message.topic, text, message))
            self._changed.notify_all()

    def wait(self, topic: str, **wanted: Any) -> dict[str, Any]:
        """Wait until a JSON object with these values is the newest of a topic, and return it."""

        def holds() -> bool:
            found = json.loads(self.newest.get(topic) or "{}")
            return bool(found) and all(found.get(key) == value for key, value in wanted.items())

        with self._changed:
            if not self._changed.wait_for(holds, LIMIT_S):
                raise TimeoutError(f"{topic} never was {wanted}, but {self.newest.get(topic)}")
            return dict(json.loads(self.newest[topic]))

    def wait_text(self, topic: str, text: str) -> None:
        """Wait until a topic's newest payload is this."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.newest.get(topic) == text, LIMIT_S):
                raise TimeoutError(f"{topic} never was {text}, but {self.newest.get(topic)}")

    def send(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        """Publish something."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(LIMIT_S)

    def forget(self) -> None:
        """Clear the recorded messages."""
        with self._changed:
            self.newest.clear()
            self.all.clear()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Mosquitto]:
    """Run a broker."""
    running = Mosquitto(folder, *lines)
    running.start()
    try:
        yield running
    finally:
        running.kill()


@contextlib.contextmanager
def listener(port: int, host: str = "127.0.0.1", **login: str) -> Iterator[Listener]:
    """Listen to a broker."""
    listens = Listener(port, host, **login)
    try:
        yield listens
    finally:
        listens.close()
