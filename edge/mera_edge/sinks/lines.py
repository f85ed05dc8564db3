"""Writes complete lines of text to stdout, a file, a pipe or a device."""

from __future__ import annotations

import fcntl
import io
import os
import select
import stat
import sys
from pathlib import Path

from mera_edge.config import STDOUT
from mera_edge.errors import InputError


class Lines:
    """Writes lines immediately and unbuffered.

    A regular file is locked, since two processes would interleave their lines. If a crash left an
    incomplete line at its end, the next one starts on a new line. A pipe or device is opened only
    when the first line is written, since opening blocks until there is a reader.

    Args:
        target: ``-`` for stdout, else a file, a named pipe or a device.
        append: whether an existing file is appended to or truncated.

    Raises:
        InputError: the file cannot be written or is locked by another run, or stdout is closed.
    """

    def __init__(self, target: str, append: bool = True) -> None:
        self._target = target
        self._name = "stdout" if target in STDOUT else target
        self._file: io.FileIO | None = None
        self._line = self._rest = b""
        """The last line, and its part that has not been written yet."""
        if target in STDOUT:
            self._file = self._stdout()
        elif self._is_regular():
            self._open(append)

    def write(self, line: str) -> None:
        """Write one line.

        A partially written line counts as written: the rest is written before the next one.

        Raises:
            InputError: no part of it could be written.
            BrokenPipeError: the reader of stdout has gone.
        """
        self._flush()
        # Lone surrogates become escapes, which are valid in JSON strings.
        self._line = self._rest = line.encode(errors="backslashreplace") + b"\n"
        try:
            self._flush()
        except InputError:
            if self._rest == self._line:
                self._rest = b""
                raise

    def reopen(self) -> None:
        """Continue in a new file if the current one was moved away or removed.

        Raises:
            InputError: the new file cannot be opened; the old one is kept.
        """
        if self._target in STDOUT or self._file is None or not self._is_regular():
            return
        path = Path(self._target)
        if path.exists() and os.path.samestat(path.stat(), os.fstat(self._file.fileno())):
            return
        before, unfinished = self._file, self._line if self._rest else b""
        self._open(append=True)
        self._rest += unfinished
        before.close()

    def close(self) -> None:
        """Close the file; stdout stays open.

        Raises:
            InputError: the last line cannot be completed.
        """
        self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        while self._rest:
            try:
                if self._file is None:
                    self._file = io.FileIO(self._target, "w")
                written = self._file.write(self._rest)
            except BrokenPipeError:
                if self._target in STDOUT:
                    raise
                # The next reader of a named pipe gets the complete line.
                self._file, self._rest = None, self._line
            except OSError as error:
                raise InputError(
                    f"{self._name} cannot be written ({error.strerror})", "free some disk space"
                ) from error
            else:
                if written is None:  # stdout is non-blocking
                    select.select([], [self._file], [])
                self._rest = self._rest[written or 0 :]

    def _stdout(self) -> io.FileIO:
        if sys.stdout is None:
            raise InputError("stdout is closed", "use a file: --sink events.jsonl")
        sys.stdout.flush()
        return io.FileIO(sys.stdout.fileno(), "w", closefd=False)

    def _is_regular(self) -> bool:
        """Whether the target is a regular file or does not exist."""
        try:
            mode = Path(self._target).stat().st_mode
        except OSError:
            return True
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

    def _open(self, append: bool) -> None:
        try:
            file = io.FileIO(self._target, "a+")
            _lock(file, self._target)
            if not append:
                file.truncate(0)
            self._rest = b"" if _ends_a_line(file) else b"\n"
        except OSError as error:
            raise InputError(
                f"{self._target} cannot be written ({error.strerror})", "choose another file"
            ) from error
        self._file = file


def _lock(file: io.FileIO, target: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{target} is in use by another run, or was given twice",
            "use one file per run",
        ) from error
    except OSError:
        pass  # the file system does not support locks, for example NFS without lockd


def _ends_a_line(file: io.FileIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    return size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"
