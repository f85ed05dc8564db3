"""What comes through a pipe, kept in an unnamed file so that it can be read like one."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Final

from mera_edge.errors import InputError

STDIN: Final = Path("/dev/stdin")

LARGEST_BYTES: Final = 2 << 30
_SILENCE_LIMIT_S = 30.0
"""A writer that gives nothing for so long has forgotten us."""
_WRITER_LIMIT_S = 5.0
"""How long somebody is waited for who writes into a FIFO at all."""
_PIECE, _POLL_MS = 1 << 20, 200
_SAVE_IT = "save it to a file and give that"


def is_pipe(path: Path) -> bool:
    """Whether it is a pipe, which can be read only once and only forwards."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def spool(path: Path, name: str, stop: threading.Event | None = None) -> IO[bytes]:
    """Read a pipe to its end into a file without a name, which is gone when it is closed.

    Args:
        path: the pipe.
        name: what messages call it.
        stop: ends it early.

    Raises:
        InputError: nobody writes into it, it gives too much, or there is no room.
    """
    with contextlib.ExitStack() as undo:
        kept = undo.enter_context(tempfile.TemporaryFile())
        try:
            # Without O_NONBLOCK a FIFO that nobody writes into would be waited for for ever.
            source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(source, "rb", buffering=0) as pipe:
                _copy(pipe, kept, name, stop)
            kept.flush()
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = (
                f"free some space in {tempfile.gettempdir()}, or set TMPDIR" if full else _SAVE_IT
            )
            raise InputError(f"{name} cannot be read ({error.strerror})", remedy) from error
        undo.pop_all()
        return kept


def _copy(pipe: IO[bytes], kept: IO[bytes], name: str, stop: threading.Event | None) -> None:
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    size, heard_s = 0, time.monotonic()
    while stop is None or not stop.is_set():
        told = waiting.poll(_POLL_MS)
        piece = pipe.read(_PIECE)  # None: a writer is there, but nothing from it
        silent_s = time.monotonic() - heard_s
        if piece:
            size, heard_s = size + len(piece), time.monotonic()
            kept.write(piece)
            if size > LARGEST_BYTES:
                raise InputError(f"{name} is larger than {LARGEST_BYTES >> 30} GiB", _SAVE_IT)
        elif piece == b"" and told:
            return
        elif piece == b"" and silent_s > _WRITER_LIMIT_S:
            raise InputError(f"nothing writes to {name}", "start the program that writes to it")
        elif silent_s > _SILENCE_LIMIT_S:
            raise InputError(f"{name} sent nothing for {silent_s:.0f} s", _SAVE_IT)
