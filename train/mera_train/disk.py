"""Files that are on the disk whole or not at all, and what is said when it is full."""

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
    """Open a file that takes the place of ``path`` once it is complete and on the disk.

    A process that is killed, a machine that loses power and a disk that is full leave what was
    there before.
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
    """Make the names in a directory survive a loss of power."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def room_for(out: Path, remedy: str) -> Iterator[None]:
    """Turn a full disk, quota or file size limit into one error.

    Raises:
        InputError: there is no room; ``remedy`` says what is left of the work.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InputError(f"there is no space left for {out} ({error.strerror})", remedy) from error
