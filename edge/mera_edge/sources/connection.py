"""A network stream that a camera and a microphone share: one connection, one process, one clock."""

from __future__ import annotations

import threading
import time
from typing import Final

from mera_edge.sources import capture_process, network_stream
from mera_edge.sources.base import Condition
from mera_edge.sources.capture_process import CaptureProcess
from mera_edge.sources.network_stream import ABSENT, PICTURE, SOUND, UNSEEN, Kind
from mera_edge.sources.shared_frame import SharedFrame

_JOIN_S: Final = 0.1
"""Time in which the other half may join before the process is started for one alone."""

_MISSING: Final = {"video": "it has no video", "audio": "it has no audio"}


class Connection:
    """Captures what of a stream is wanted at the moment.

    When a half joins or leaves, the process is replaced by one that captures what is left: what
    is switched off is not even decoded.

    Args:
        url: of the stream.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()  # halves may be closed from other threads
        self._halves: dict[Kind, StreamTrack] = {}
        self._slot: SharedFrame | None = None
        self._worker: CaptureProcess | None = None
        self._begins_s = 0.0

    def join(self, kind: Kind, slot: SharedFrame | None = None) -> StreamTrack:
        """Capture this too from now on.

        Args:
            kind: of what is captured.
            slot: where pictures go.
        """
        half = StreamTrack(self, kind)
        with self._lock:
            self._halves[kind] = half
            self._slot = slot or self._slot
            before = self._restart()
        _end(before)
        return half

    def leave(self, half: StreamTrack) -> None:
        """Capture this no longer."""
        with self._lock:
            if self._halves.get(half.kind) is not half:
                return
            del self._halves[half.kind]
            before = self._restart()
        _end(before)

    def _restart(self) -> CaptureProcess | None:
        """Have a new process for what is wanted now; return the one before, which is to end."""
        before, self._worker = self._worker, None
        self._begins_s = time.monotonic() + (_JOIN_S if before is None else 0.0)
        for half in self._halves.values():
            half.begin()
        return before

    def read(self, half: StreamTrack) -> tuple[list[bytes], Condition]:
        """Return what was captured for one half, and how the connection is doing."""
        with self._lock:
            if self._worker is None:
                if time.monotonic() < self._begins_s:
                    return [], Condition("connecting")
                self._worker = self._process()
            for message in self._worker.read():
                for each in self._halves.values():
                    each.take(message)
            waiting, half.waiting = half.waiting, []
            return waiting, self._worker.condition

    def _process(self) -> CaptureProcess:
        slot = self._slot if "video" in self._halves else None
        descriptors = [] if slot is None else [slot.descriptor]
        arguments = [*(map(str, descriptors) if descriptors else "-"), *self._halves]
        return CaptureProcess(network_stream.__name__, self._url, arguments, descriptors)


class StreamTrack:
    """What a camera, or a microphone, has of a connection. Make one with `Connection.join`.

    Attributes:
        kind: of what is captured.
        waiting: what has not been read yet; the connection's.
        condition: how it is doing, as of the last `read`.
    """

    def __init__(self, connection: Connection, kind: Kind) -> None:
        self._connection, self.kind = connection, kind
        self._mark = PICTURE if kind == "video" else SOUND
        self.condition = Condition("connecting")
        self.waiting: list[bytes] = []
        self.begin()

    def begin(self) -> None:
        """Wait for the first of a new process."""
        self._told_s: float | None = None
        self._is_absent = False

    def take(self, message: bytes) -> None:
        """Take a message of the process, if it is for this half."""
        if message[:1] == self._mark:
            self._told_s = time.monotonic()
            self.waiting.append(message[1:])
        elif message == UNSEEN and self.kind == "video":
            self._told_s = time.monotonic()
        elif message == ABSENT[self.kind]:
            self._is_absent = True

    def read(self) -> list[bytes]:
        """Return what was captured since the last call. Waits for nothing."""
        captured, condition = self._connection.read(self)
        if condition.state == "live":
            condition = self._own()
        self.condition = condition
        return captured

    def _own(self) -> Condition:
        """Return how it is doing on a connection that is live."""
        if self._is_absent:
            return Condition("gone", "no_stream", _MISSING[self.kind])
        if self._told_s is None:
            return Condition("connecting")
        if time.monotonic() - self._told_s > capture_process.STALLED_AFTER_S:
            return Condition("stalled", "stalled", "no more data")
        return Condition("live")

    def close(self) -> None:
        """Capture it no longer."""
        self._connection.leave(self)


def _end(worker: CaptureProcess | None) -> None:
    if worker is not None:
        worker.close()
