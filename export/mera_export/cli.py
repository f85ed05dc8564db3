"""`mera-edge export`: checkpoints to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer()


@app.callback(invoke_without_command=True)
def export(
    out: Annotated[Path, typer.Option(help="the bundle's directory; an old bundle is replaced")],
    checkpoints: Annotated[
        Path, typer.Option(help="directory with one checkpoint per role")
    ] = Path("train/checkpoints"),
    role: Annotated[
        list[str] | None, typer.Option(help="only this role; may be given again")
    ] = None,
) -> None:
    """Export checkpoints to a bundle that a device runs, checked against torch."""
    from mera_export.bundle import ROLES, export_bundle

    progress = Console(stderr=True)
    bundle = export_bundle(
        checkpoints,
        out,
        role or ROLES,  # type: ignore[arg-type]  (checked there, with a remedy)
        progress=lambda name: progress.print(f"exporting {name} …", style="dim"),
    )
    table = Table("role", "precision", "size", title=str(out))
    for name, entry in bundle.manifest.roles.items():
        size = sum(file.bytes for file in entry.files.values())
        table.add_row(name, entry.precision, f"{size / 1e6:.2f} MB")
    Console().print(table)
