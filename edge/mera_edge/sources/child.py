"""The child process of a device: opens it again and again, and tells the parent what comes.

Its stdin begins with what it captures: an address may hold a password, and everybody on the machine
can read the arguments of a process. It writes messages on stdout and ends when its stdin does: a
parent that died, however it did, leaves nobody behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Final

from mera_edge.backoff import Backoff
from mera_edge.errors import SourceError
from mera_edge.reasons import ReasonCode
from mera_edge.redaction import redacted, redacted_text

HEAD: Final = struct.Struct("<cI")
"""Kind and length of what follows."""
DATA: Final = b"d"
"""Something was captured."""
GONE: Final = b"g"
"""Nothing is captured at the moment; the reason follows, a code and a sentence in UTF-8."""

GRACE_S = 1.0
"""What a child is given to let go of its device before it ends all the same."""


def serve(capture: Callable[[str], Generator[bytes, None, None]]) -> None:
    """Capture until the parent has had enough; after a failure wait and begin anew.

    Args:
        capture: opens the device that it is told and gives what it captures, piece by piece. It
            raises `SourceError` when the device cannot be opened, and ends when the stream ended.
    """
    spec = json.loads(sys.stdin.buffer.readline())
    out = os.dup(sys.stdout.fileno())
    # What a library prints would be taken for a message.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    over = threading.Event()
    threading.Thread(target=_end_with_parent, args=[over], daemon=True).start()
    backoff = Backoff()
    with contextlib.suppress(BrokenPipeError):
        while not over.is_set():
            code: ReasonCode = "lost"
            reason = "the stream ended"
            try:
                with contextlib.closing(capture(spec)) as pieces:
                    for piece in pieces:
                        _tell(out, DATA, piece)
                        backoff.reset()
                        if over.is_set():
                            return
            except SourceError as error:
                code, reason = error.code, error.what
            except Exception as error:  # noqa: BLE001  (nobody but the parent can say it)
                told = str(error).replace(spec, redacted(spec))
                code, reason = "failed", redacted_text(f"{type(error).__name__}: {told}")
            _tell(out, GONE, f"{code} {reason}".encode())
            over.wait(backoff.wait_s())


def _tell(out: int, kind: bytes, content: bytes) -> None:
    message = HEAD.pack(kind, len(content)) + content
    while message:
        message = message[os.write(out, message) :]


def _end_with_parent(over: threading.Event) -> None:
    sys.stdin.buffer.read()
    over.set()
    # The main thread may hang in a driver.
    time.sleep(GRACE_S)
    os._exit(0)
