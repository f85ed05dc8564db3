"""Behaviour of the MQTT sink when its broker is killed, unreachable or receives invalid commands.

    python benchmarks/outages.py kills [--count 20] [--seconds 120]
    python benchmarks/outages.py cut [--seconds 60]          # as root: a network namespace
    python benchmarks/outages.py commands [--count 10000]

The sinks of a live run, in this process, with made events five times a second whose emotion changes
every second, and Debian's mosquitto. *kills*: SIGKILL at random moments, back after one second.
*cut*: the broker lives behind a pair of virtual interfaces, one of which goes down. *commands*:
spoiled messages on command topics and near them, among which nothing may be switched. Exit code 1
where a state is wrong for longer than two seconds after the return, memory, threads or files grow,
an event of before is told, or something was switched.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mosquitto
from mosquitto import Listener, Mosquitto

from mera_edge.config import SinkSettings
from mera_edge.events import EmotionEvent, Latency, Moment, Transcript, timestamp
from mera_edge.service.control import Control
from mera_edge.service.sink_group import SinkGroup

LABELS = ("happy", "sad", "angry", "neutral")
STATE = "mera-edge/bench/hall/state"
SPACE, HOST, PEER = "mera-outage", "10.219.7.1", "10.219.7.2"


class Events(threading.Thread):
    """Gives a run's sinks five events a second, and knows the newest."""

    def __init__(self, sinks: SinkGroup) -> None:
        super().__init__(daemon=True)
        self._sinks, self.ends = sinks, threading.Event()
        self.label, self.number = LABELS[0], 0

    def run(self) -> None:
        while not self.ends.wait(0.2):
            self.number += 1
            self.label = LABELS[self.number // 5 % len(LABELS)]
            self._sinks.publish(made(self.label, self.number))


def made(label: str, number: int) -> EmotionEvent:
    return EmotionEvent(
        schema="mera-edge/event/1", sequence=number, at=timestamp(time.time()), room="Hall",
        room_id="hall", modalities={}, moment=Moment(label=label, confidence=0.8, lasts_s=1),
        transcript=Transcript(text="", final=False, confidence=0),
        latency=Latency(compute_ms=1, budget_ms=100, late=False),
    )  # fmt: skip


@contextlib.contextmanager
def running(host: str, port: int) -> Iterator[tuple[Events, Control, list[str]]]:
    """Run events into a sink of the broker."""
    said: list[str] = []
    control = Control()
    control.use(["hall"])
    sinks = SinkGroup(threading.Event(), control)
    listens = logging.Handler()
    listens.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("mera_edge").addHandler(listens)
    target = SinkSettings(to=f"mqtt://{host}:{port}", node="bench")
    sinks.use([target], sinks.open([target]))
    events = Events(sinks)
    events.start()
    try:
        yield events, control, said
    finally:
        events.ends.set()
        events.join()
        sinks.close(None)
        sinks.wait()


def used() -> dict[str, int]:
    """Return what this process holds."""
    gc.collect()  # the sockets of listeners that are gone
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(list(Path("/proc/self/fd").iterdir()))
    return {
        "rss_kb": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "threads": threading.active_count(),
        "files": files,
    }


def right_after(heard: Listener, events: Events, limit_s: float = 10.0) -> float:
    """Return the seconds until the broker's state is that of the newest events."""
    began = time.monotonic()
    heard.newest.pop(STATE, None)
    while time.monotonic() < began + limit_s:
        with contextlib.suppress(ValueError, AttributeError):  # nonsense may be sent there too
            if json.loads(heard.newest.get(STATE) or "{}").get("emotion") == events.label:
                return time.monotonic() - began
        time.sleep(0.01)
    return limit_s


def kills(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """Kill the broker again and again."""
    chance = random.Random(0)
    took: list[float] = []
    with mosquitto.broker(folder) as broker, running("127.0.0.1", broker.port) as (events, _, said):
        time.sleep(2.0)
        before = used()
        for _ in range(count):
            time.sleep(max(0.0, seconds / count - 2.5) * chance.uniform(0.5, 1.5))
            broker.kill()
            time.sleep(1.0)
            broker.start()
            returned = time.monotonic()
            with mosquitto.listener(broker.port) as heard:
                took.append(time.monotonic() - returned + right_after(heard, events))
        after = used()
        return {"kills": count, **_times(took), "before": before, "after": after,
                "notices": len(said)}  # fmt: skip


def cut(folder: Path, seconds: float) -> dict[str, Any]:
    """Take the interface between us and the broker down for a while."""

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", SPACE)
    try:
        ip("link", "add", "mera0", "type", "veth", "peer", "name", "mera1", "netns", SPACE)
        ip("addr", "add", f"{HOST}/30", "dev", "mera0")
        ip("link", "set", "mera0", "up")
        ip("-n", SPACE, "addr", "add", f"{PEER}/30", "dev", "mera1")
        ip("-n", SPACE, "link", "set", "mera1", "up")
        broker = Mosquitto(folder, "allow_anonymous true", address=PEER)
        broker.start("ip", "netns", "exec", SPACE)
        with running(PEER, broker.port) as (events, _, said):
            time.sleep(2.0)
            before = used()
            ip("link", "set", "mera0", "down")
            time.sleep(seconds)
            ip("link", "set", "mera0", "up")
            returned = time.monotonic()
            with mosquitto.listener(broker.port, PEER) as heard:
                took = time.monotonic() - returned + right_after(heard, events)
            after = used()
        broker.kill()
        return {"cut_s": seconds, **_times([took]), "before": before, "after": after, "said": said}
    finally:
        ip("netns", "del", SPACE)


def commands(folder: Path, count: int) -> dict[str, Any]:
    """Send spoiled commands; nothing may be switched and the sink goes on."""
    chance = random.Random(0)
    switches = ["pause", "camera", "microphone"]
    words = [
        "pause",
        "camera",
        "microphone",
        "sink",
        "state",
        "set",
        "hall",
        "study",
        "",
        "..",
        "$x",
    ]
    payloads = [b"ON", b"OFF"]
    with (
        mosquitto.broker(folder) as broker,
        running("127.0.0.1", broker.port) as (events, control, said),
        mosquitto.listener(broker.port) as heard,
    ):
        heard.wait(STATE)
        before = used()
        changed: list[Any] = []
        control.subscribe(lambda room, switches: changed.append((room, switches)))
        for number in range(count):
            topic = f"mera-edge/bench/{'/'.join(chance.choices(words, k=chance.randint(1, 4)))}"
            if chance.random() < 0.5:
                topic = f"mera-edge/bench/hall/{chance.choice(switches)}/set"
            payload = spoiled(chance.choice(payloads), chance)
            if payload in payloads and topic.endswith("/set"):
                payload += b"!"
            heard.client.publish(topic, payload, qos=number % 2, retain=chance.random() < 0.1)
            if number % 100 == 0:
                heard.send("bench/barrier", "")  # what was sent before it has been sent
                heard.forget()
        time.sleep(1.0)
        took = right_after(heard, events)
        heard.send("mera-edge/bench/hall/pause/set", "ON")
        deadline = time.monotonic() + 5
        while not control.of("hall").paused and time.monotonic() < deadline:
            time.sleep(0.01)
        obeys = control.of("hall").paused and len(changed) == 1
        heard.forget()
        return {"commands": count, "switched": len(changed) - int(obeys), "obeys_after": obeys,
                **_times([took]), "before": before, "after": used(),
                "notices": len(said)}  # fmt: skip


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """Turn bits, add, cut off, or make something else."""
    return chance.choice(
        (
            lambda: bytes(byte ^ 1 << chance.randrange(8) for byte in data),
            lambda: data + chance.randbytes(chance.randrange(1, 300)),
            lambda: data[:1],
            lambda: b"",
            lambda: chance.randbytes(chance.randrange(5000)),
            lambda: json.dumps({"state": "ON", "x": "$(reboot)"}).encode(),
            lambda: data.lower(),
            lambda: data * 1000,
        )
    )()


def _times(took: list[float]) -> dict[str, float]:
    return {
        "right_again_s_max": round(max(took), 2),
        "median": round(sorted(took)[len(took) // 2], 2),
    }


def main() -> int:
    """Try, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["kills", "cut", "commands"])
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()
    tries: dict[str, Callable[[Path], dict[str, Any]]] = {
        "kills": lambda folder: kills(folder, given.count or 20, given.seconds or 120),
        "cut": lambda folder: cut(folder, given.seconds or 60),
        "commands": lambda folder: commands(folder, given.count or 10_000),
    }
    with tempfile.TemporaryDirectory() as folder:
        found = tries[given.what](Path(folder))
    print(json.dumps(found, ensure_ascii=False))
    before, after = found["before"], found["after"]
    grows = after["rss_kb"] > before["rss_kb"] + 8_000 or after["files"] > before["files"] + 4
    wrong = found.get("switched") or not found.get("obeys_after", True)
    return int(grows or bool(wrong) or found["right_again_s_max"] > 2.0)


if __name__ == "__main__":
    sys.exit(main())
