"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", help="Bundle directory or zip; the one in the package by default."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]
Report = Annotated[
    Path | None, typer.Option("--report", help="Write a self-contained HTML page here.")
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record", help="Write the evidence here, for `replay`: words, but no sound or picture."
    ),
]
