"""Atomic writing of files, and the error for a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mera_edge.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces ``path`` once it is complete and flushed to disk.

    After a kill, a power failure or on a full disk the previous file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.partial")
    try:
        with scratch.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    settle(path.parent)


def write(path: Path, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, with `whole`."""
    with whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def settle(directory: Path) -> None:
    """Flush directory entries, so that they survive a power failure."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def room_for(out: Path, remedy: str) -> Iterator[None]:
    """Convert errors of a full disk, quota or file size limit to one `InputError`.

    Raises:
        InputError: there is no space; ``remedy`` says which work is kept.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InputError(f"there is no space left for {out} ({error.strerror})", remedy) from error
