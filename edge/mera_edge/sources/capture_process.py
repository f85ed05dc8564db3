"""A device in a process of its own: it may hang or crash, and is replaced."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import cast

from mera_edge.backoff import Backoff
from mera_edge.reasons import ReasonCode
from mera_edge.sources.base import Condition
from mera_edge.sources.child import DATA, HEAD

STALLED_AFTER_S = 2.5
"""A device that has been silent for so long has stalled: a camera may give one picture a second."""

HUNG_AFTER_S = 6.0
"""A device that has been silent for so long has hung: its process is replaced."""

OPEN_LIMIT_S = 12.0
"""So long a device may take to open, or to say that it cannot be opened."""

_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""glibc gives back what opening a stream took, instead of keeping it for the life of the child."""

_PIPE_BYTES = 1 << 20
"""As much as Linux grants to everyone: 16 s of sound."""


class CaptureProcess:
    """Starts the child of a device, reads what it tells, and replaces it when it hangs or ends.

    No method waits for the device.

    Args:
        module: the child's, whose ``__main__`` calls `child.serve`.
        spec: what the child captures. It is handed over by a pipe, which nobody else can read.
        arguments: for the child; no secrets.
        descriptors: open files that the child shall inherit.
    """

    def __init__(
        self,
        module: str,
        spec: str,
        arguments: Sequence[str] = (),
        descriptors: Sequence[int] = (),
    ) -> None:
        self._spec = spec
        self._command = [sys.executable, "-m", module, *arguments]
        self._descriptors = descriptors
        self._child: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff()
        self._again_s = 0.0
        self._told_s = 0.0
        self._unread = b""
        self.condition = Condition("connecting")

    def read(self) -> list[bytes]:
        """Return what was captured since the last call; start the child if there is none."""
        now_s = time.monotonic()
        if self._child is None:
            if now_s >= self._again_s:
                self._start(now_s)
            return []
        captured, ended = self._messages(self._child, now_s)
        silent_s = now_s - self._told_s
        if ended:
            self._replace(now_s, "crashed", _how_it_ended(self._child))
        elif silent_s > (HUNG_AFTER_S if self._was_live else OPEN_LIMIT_S):
            self._replace(now_s, "hung", "the driver does not respond")
        elif self._was_live and silent_s > STALLED_AFTER_S:
            self.condition = Condition("stalled", "stalled", "no more data")
        return captured

    def close(self) -> None:
        """End the child, in peace if it is able to."""
        child, self._child = self._child, None
        if child is None or child.stdin is None or child.stdout is None:
            return
        child.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.kill()
        child.stdout.close()
        # A process that waits for a broken driver cannot even be killed: no waiting for it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.2)

    @property
    def _was_live(self) -> bool:
        return self.condition.state in ("live", "stalled")

    def _start(self, now_s: float) -> None:
        self._told_s, self._unread = now_s, b""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MERA_EDGE_")
        } | _MEMORY
        try:
            # A session of its own: Ctrl-C is for the parent, which then ends the child.
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=environment,  # without the settings, which may hold other passwords
                pass_fds=self._descriptors,
                start_new_session=True,
            )
        except OSError as error:
            self._lost(now_s, "crashed", f"the capture process does not start ({error.strerror})")
            return
        if self._child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended, which `read` sees
                self._child.stdin.write(json.dumps(self._spec).encode() + b"\n")
        if self._child.stdout is not None:
            os.set_blocking(self._child.stdout.fileno(), False)
            with contextlib.suppress(OSError):  # the system is short of memory for pipes
                fcntl.fcntl(self._child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _messages(self, child: subprocess.Popen[bytes], now_s: float) -> tuple[list[bytes], bool]:
        """Return what was captured, and whether the child has closed its end."""
        captured: list[bytes] = []
        ended = False
        while child.stdout is not None:
            try:
                part = os.read(child.stdout.fileno(), _PIPE_BYTES)
            except BlockingIOError:
                break
            if not part:
                ended = True
                break
            self._unread += part
        at = 0
        while len(self._unread) >= at + HEAD.size:
            kind, length = HEAD.unpack_from(self._unread, at)
            begin, end = at + HEAD.size, at + HEAD.size + length
            if len(self._unread) < end:
                break
            content, at = self._unread[begin:end], end
            self._told_s = now_s
            if kind == DATA:
                captured.append(content)
                self._backoff.reset()
                self.condition = Condition("live")
            else:
                code, _, reason = content.decode().partition(" ")
                self.condition = Condition("gone", cast(ReasonCode, code), reason)
        self._unread = self._unread[at:]
        return captured, ended

    def _replace(self, now_s: float, code: ReasonCode, reason: str) -> None:
        child, self._child = self._child, None
        if child is not None and child.stdin is not None and child.stdout is not None:
            child.kill()
            child.stdin.close()
            child.stdout.close()
        self._lost(now_s, code, reason)

    def _lost(self, now_s: float, code: ReasonCode, reason: str) -> None:
        self._again_s = now_s + self._backoff.wait_s()
        self.condition = Condition("gone", code, reason)


def _how_it_ended(child: subprocess.Popen[bytes]) -> str:
    code = child.poll()
    if code is not None and code < 0:
        return f"the capture process died with {signal.Signals(-code).name}"
    return (
        "the capture process died"
        if code is None
        else f"the capture process died with exit code {code}"
    )
