"""Where the command line writes: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NoReturn, cast

from mera_edge.errors import InputError, MeraError

if TYPE_CHECKING:
    from rich.console import Console

_DEBUG = "MERA_EDGE_DEBUG"
"""Environment variable with which an unexpected error shows its traceback."""


def stdout() -> Console:
    """For results."""
    from rich.console import Console

    return Console(soft_wrap=True)


def stderr() -> Console:
    """For progress, live views and errors. What cannot be written is left out."""
    from rich.console import Console

    try:
        return Console(file=_UnbufferedStream(sys.stderr.fileno()))
    except (AttributeError, OSError):  # it is closed, or a test holds it
        return Console(stderr=True)


class _UnbufferedStream(io.TextIOWrapper):
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

    _KEPT, _LAST_S = 256, 0.3

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
        self._outbox.wait(time.monotonic() + self._LAST_S, self._LAST_S)


def report(error: MeraError) -> None:
    """Print an error on stderr."""
    from rich.markup import escape

    stderr().print(f"[bold red]error[/] {escape(str(error))}", soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """Print a line on stderr for whoever watches."""
    stderr().print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def reported(command: str = "mera-edge") -> Iterator[None]:
    """End with an error as one message with its remedy, never a traceback.

    Args:
        command: what is running, for an error that nobody expected.
    """
    try:
        yield
    except MeraError as error:
        _end(error)
    except OSError as error:
        if error.filename is not None:
            _end(InputError(f"{error.filename}: {error.strerror}", "check the path"))
        # What is printed is of no file; a pipe that closes is typer's affair.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            _end(_unexpected(error, command))
        _end(InputError(f"the output cannot be written ({error.strerror})", "free some disk space"))
    except ImportError as error:
        # As the dynamic linker says it: "libGL.so.1: cannot open shared object file: ...".
        library, _, said = str(error).partition(": ")
        if "shared object file" not in said:
            _end(_unexpected(error, command))
        remedy = f"install the package that has it; on Debian: apt-file search {library}"
        _end(InputError(f"this system lacks the library {library}", remedy))
    except Exception as error:  # noqa: BLE001  (the last resort)
        _end(_unexpected(error, command))


class Attempts:
    """Files that are done one after the other: one that cannot be used does not stop the others.

    Attributes:
        failed: whether there was one.
    """

    def __init__(self) -> None:
        self.failed = False

    @contextmanager
    def at(self, file: object) -> Iterator[None]:
        """Do one file."""
        try:
            yield
        except OSError:
            raise  # of the output, which all files have in common
        except MeraError as error:
            report(error)
            self.failed = True
        except Exception as error:  # noqa: BLE001  (whatever it was, the others are done)
            report(_unexpected(error, str(file)))
            self.failed = True


def _end(error: MeraError) -> NoReturn:
    report(error)
    sys.exit(error.exit_code)


def _unexpected(error: Exception, where: str) -> MeraError:
    """Return what is said of an error that is a mistake of ours."""
    if os.environ.get(_DEBUG):
        raise error
    return MeraError(
        f"{where}: unexpected {type(error).__name__} ({str(error)[:200]})",
        f"please report this with the traceback; set {_DEBUG}=1 to see it",
    )
