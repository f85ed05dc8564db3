"""Where the command line writes: results on stdout, progress and errors on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
