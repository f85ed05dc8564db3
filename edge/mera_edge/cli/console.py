"""Where the command line writes: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from mera_edge.errors import InputError, MeraError

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """For results."""
    from rich.console import Console

    return Console(soft_wrap=True)


def stderr() -> Console:
    """For progress, live views and errors. What cannot be written is left out."""
    from rich.console import Console

    try:
        return Console(file=_Unheeded(sys.stderr.fileno()))
    except (AttributeError, OSError):  # it is closed, or a test holds it
        return Console(stderr=True)


class _Unheeded(io.TextIOWrapper):
    """A stream that nobody needs to read."""

    def __init__(self, descriptor: int) -> None:
        # Without a buffer there is no lock that a thread which hangs would keep for ever.
        self._raw = io.FileIO(descriptor, "w", closefd=False)
        super().__init__(
            cast("IO[bytes]", self._raw), sys.stderr.encoding, "replace", write_through=True
        )

    def write(self, text: str) -> int:
        rest = text.encode(self.encoding, "replace")
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[self._raw.write(rest) or 0 :]
        return len(text)


class Notices:
    """Prints on stderr in a thread of its own: whoever says something never waits for a reader.

    Attributes:
        console: where.
    """

    _KEPT, _LAST_S = 256, 0.5

    def __init__(self, console: Console) -> None:
        from mera_edge.sinks.outbox import Outbox

        self.console = console
        self._outbox = Outbox("notices", self._KEPT)

    def say(self, line: str) -> None:
        """Print a line of plain text."""
        self.show(lambda to: to.print(line, markup=False, highlight=False, soft_wrap=True))

    def show(self, use: Callable[[Console], None]) -> None:
        """Have something printed."""
        self._outbox.put(lambda: use(self.console))

    def close(self) -> None:
        """Give what waits a moment to be printed."""
        self._outbox.close(lambda: None)
        self._outbox.wait(time.monotonic() + self._LAST_S)


def report(error: MeraError) -> None:
    """Print an error on stderr."""
    from rich.markup import escape

    stderr().print(f"[bold red]error[/] {escape(str(error))}", soft_wrap=True, highlight=False)


@contextmanager
def reported() -> Iterator[None]:
    """End with an error as one message with its remedy, never a traceback."""
    try:
        yield
    except MeraError as error:
        report(error)
        sys.exit(error.exit_code)
    except OSError as error:
        # What is printed is of no file; a pipe that closes is typer's affair.
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        full = InputError(f"the output cannot be written ({error.strerror})", "make room for it")
        report(full)
        sys.exit(full.exit_code)
