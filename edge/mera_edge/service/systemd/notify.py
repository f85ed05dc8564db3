"""What a service tells systemd: that it is ready, alive and how its rooms are."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Collection

from mera_edge.events import EmotionEvent, Summary

STATUS_S = 5.0
"""Between two states that are the same."""


def send(message: str) -> None:
    """Send a message to the service manager, if there is one that listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.setblocking(False)
        # Nobody is told that nobody listens; a manager that does not hear us ends us.
        with contextlib.suppress(OSError):
            to.sendto(message.encode(), address)


def watchdog_s() -> float | None:
    """Return within how many seconds the manager wants to hear of us, if it does."""
    wanted, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or process not in ("", str(os.getpid())):
        return None
    return int(wanted) / 1e6 or None


class Heartbeat:
    """A sink that tells systemd of a run: ready when every room has answered once, alive as long as
    every room goes on answering.

    Args:
        rooms: returns the ids of the rooms that have not ended.
        tell: sends a message.
    """

    def __init__(
        self, rooms: Callable[[], Collection[str | None]], tell: Callable[[str], None] = send
    ) -> None:
        self._rooms, self._tell = rooms, tell
        limit_s = watchdog_s()
        # A third of what is allowed: one lost message does no harm.
        self._every_s = min(STATUS_S, STATUS_S if limit_s is None else limit_s / 3)
        self._watched = limit_s is not None
        self._answered: dict[str | None, str] = {}
        self._ready = False
        self._told_s, self._status = 0.0, ""

    def publish(self, event: EmotionEvent) -> None:
        """Note that a room has answered; tell the manager once all have."""
        self._answered[event.room_id] = _how(event)
        rooms = self._rooms()
        if not self._answered.keys() >= set(rooms):
            return
        status = "; ".join(self._answered[room] for room in rooms)
        now_s = time.monotonic()
        lines = []
        if not self._ready:
            self._ready = True
            lines.append("READY=1")
        if status != self._status or now_s - self._told_s >= self._every_s:
            lines += [f"STATUS={status}", *(["WATCHDOG=1"] if self._watched else [])]
            self._told_s, self._status = now_s, status
        if lines:
            self._tell("\n".join(lines))
        self._answered.clear()

    def reloads(self) -> None:
        """Say that the configuration is read again; the next answers say that it has been."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={usec}")
        self._ready = False
        self._answered.clear()

    def stops(self) -> None:
        """Say that the run is about to end."""
        self._tell("STOPPING=1\nSTATUS=takes leave")

    def close(self, summary: Summary) -> None:
        """There is nothing to finish."""


def _how(event: EmotionEvent) -> str:
    """Say how a room's devices are. What people feel is nothing for everyone on the machine."""
    name = event.room or event.room_id or "room"
    prefix = f"{event.room_id}_"
    devices = [
        f"{id.removeprefix(prefix)} {source.state}" for id, source in (event.sources or {}).items()
    ]
    return f"{name}: {', '.join(devices) or 'live'}"
