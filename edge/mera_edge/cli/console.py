"""Output of the command line: results on stdout, progress and errors on stderr."""

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
"""Environment variable that enables tracebacks of unexpected errors."""


def stdout() -> Console:
    """Return a console for results."""
    from rich.console import Console

    return Console(soft_wrap=True)


def stderr() -> Console:
    """Return a console for progress, live views and errors; write errors are ignored."""
    from rich.console import Console

    try:
        return Console(file=_UnbufferedStream(sys.stderr.fileno()))
    except (AttributeError, OSError):  # stderr is closed, or replaced by a test
        return Console(stderr=True)


class _UnbufferedStream(io.TextIOWrapper):
    """A text stream that ignores write errors, for example of a closed pipe."""

    def __init__(self, descriptor: int) -> None:
        # A buffer has a lock, which a blocked thread would never release.
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
    """Prints on stderr in a separate thread, so that callers never block.

    Attributes:
        console: the console.
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
        """Queue a call that prints to the console."""
        self._outbox.put(lambda: use(self.console))

    def close(self) -> None:
        """Wait up to 0.3 s for queued output."""
        self._outbox.close(lambda: None)
        self._outbox.wait(time.monotonic() + self._LAST_S, self._LAST_S)


def report(error: MeraError) -> None:
    """Print an error on stderr."""
    from rich.markup import escape

    stderr().print(f"[bold red]error[/] {escape(str(error))}", soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """Print a line on stderr."""
    stderr().print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def reported(command: str = "mera-edge") -> Iterator[None]:
    """Print an exception as one message with its remedy, without a traceback, and exit.

    Args:
        command: the running command, for messages about unexpected errors.
    """
    try:
        yield
    except MeraError as error:
        _end(error)
    except OSError as error:
        if error.filename is not None:
            _end(InputError(f"{error.filename}: {error.strerror}", "check the path"))
        # Errors without a file name are those of stdout; Typer handles a closed pipe.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            _end(_unexpected(error, command))
        _end(InputError(f"the output cannot be written ({error.strerror})", "free some disk space"))
    except ImportError as error:
        # The dynamic linker's message: "libGL.so.1: cannot open shared object file: ...".
        library, _, said = str(error).partition(": ")
        if "shared object file" not in said:
            _end(_unexpected(error, command))
        remedy = f"install the package that has it; on Debian: apt-file search {library}"
        _end(InputError(f"this system lacks the library {library}", remedy))
    except Exception as error:  # noqa: BLE001  (the last resort)
        _end(_unexpected(error, command))


class Attempts:
    """Processes several files; an unusable one does not stop the others.

    Attributes:
        failed: whether any file failed.
    """

    def __init__(self) -> None:
        self.failed = False

    @contextmanager
    def at(self, file: object) -> Iterator[None]:
        """Process one file; an error is reported."""
        try:
            yield
        except OSError:
            raise  # concerns the output, which is common to all files
        except MeraError as error:
            report(error)
            self.failed = True
        except Exception as error:  # noqa: BLE001  (the other files are still processed)
            report(_unexpected(error, str(file)))
            self.failed = True


def _end(error: MeraError) -> NoReturn:
    report(error)
    sys.exit(error.exit_code)


def _unexpected(error: Exception, where: str) -> MeraError:
    """Return the message for a bug in mera-edge."""
    if os.environ.get(_DEBUG):
        raise error
    return MeraError(
        f"{where}: unexpected {type(error).__name__} ({str(error)[:200]})",
        f"please report this with the traceback; set {_DEBUG}=1 to see it",
    )
