"""`mera-edge events`: the format of events."""

from __future__ import annotations

import typer

app = typer.Typer(
    no_args_is_help=True, help="Show the event format, for programs that read events."
)


@app.callback()
def _events() -> None:
    """Make `schema` a subcommand, although it is the only one."""


@app.command()
def schema() -> None:
    """Print the JSON Schema of the output of `run`, `predict` and `replay`."""
    import json

    from mera_edge.events import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
