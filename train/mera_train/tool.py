"""A module's command line, for ``python -m``."""

from __future__ import annotations

from collections.abc import Callable

import typer

from mera_edge.cli.console import reported


def run(command: Callable[..., None]) -> None:
    """Run ``command`` with the arguments of the command line, which its annotations explain."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    with reported():
        app()
