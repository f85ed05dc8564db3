"""Events as JSON Lines, on stdout or in a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.events import EmotionEvent, Summary


class Lines:
    """Lines of text, each written at once.

    Args:
        target: ``-`` for stdout, else a file.
        append: whether a file is gone on with; else it is replaced.

    Raises:
        InputError: the file cannot be written, or stdout is closed.
    """

    def __init__(self, target: str, append: bool = False) -> None:
        self._target = target
        if target == "-" and sys.stdout is None:
            raise InputError("stdout is closed", "give a file: --sink events.jsonl")
        try:
            self._file = (
                sys.stdout
                if target == "-"
                else Path(target).open("a" if append else "w", encoding="utf-8")  # noqa: SIM115
            )
        except OSError as error:
            raise InputError(
                f"{target} cannot be written ({error.strerror})", "choose another file"
            ) from error

    def write(self, line: str) -> None:
        """Write one line.

        Raises:
            InputError: the disk is full, or the like.
        """
        try:
            print(line, file=self._file, flush=True)
        except BrokenPipeError:
            # The reader has seen enough, which is no fault. What is still buffered would complain
            # when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            raise
        except OSError as error:
            raise InputError(
                f"{self._target} cannot be written ({error.strerror})", "make room for it"
            ) from error

    def close(self) -> None:
        """Close the file; stdout stays open."""
        if self._file is not sys.stdout:
            self._file.close()


class JsonLines:
    """One event per line; the summary is the last line.

    Args:
        target, append: see `Lines`.
    """

    def __init__(self, target: str, append: bool = False) -> None:
        self._lines = Lines(target, append)

    def publish(self, event: EmotionEvent) -> None:
        """Write one event."""
        self._lines.write(event.to_json())

    def close(self, summary: Summary) -> None:
        """Write the summary and close the file."""
        self._lines.write(summary.to_json())
        self._lines.close()
