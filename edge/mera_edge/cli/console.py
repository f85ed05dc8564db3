"""Where the command line writes: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mera_edge.errors import InputError, MeraError

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """For results."""
    from rich.console import Console

    return Console(soft_wrap=True)


def stderr() -> Console:
    """For progress, live views and errors."""
    from rich.console import Console

    return Console(stderr=True)


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
