"""`mera-edge export`: checkpoints to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mera_edge.bundle import Bundle
from mera_edge.errors import CheckFailed, InputError

app = typer.Typer()


@app.callback(invoke_without_command=True)
def export(
    out: Annotated[Path, typer.Option(help="the bundle's directory; an old bundle is replaced")],
    checkpoints: Annotated[
        Path, typer.Option(help="directory with one checkpoint per role")
    ] = Path("train/checkpoints"),
    role: Annotated[
        list[str] | None,
        typer.Option(help="only this role; may be given again. With --int8: INT8 or exit code 1"),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="eight bits where the gate finds them as good")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="directory with the corpora: calibrates on train, compares on dev"),
    ] = None,
    max_drop: Annotated[float, typer.Option(help="points of the task metric INT8 may lose")] = 0.5,
    max_ece: Annotated[float, typer.Option(help="by which the calibration error may rise")] = 0.02,
    prefer: Annotated[str, typer.Option(help="what INT8 must win: speed or size")] = "speed",
    ranges: Annotated[str, typer.Option(help="minmax, entropy or percentile")] = "minmax",
    samples: Annotated[int, typer.Option(help="calibration samples per role")] = 256,
    seed: Annotated[int, typer.Option(help="of the calibration samples")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="directory for export.json and export.md")
    ] = None,
) -> None:
    """Export checkpoints to a bundle that a device runs, checked against torch."""
    from mera_export.bundle import ROLES, export_bundle

    progress = Console(stderr=True)
    refinement: Any = None
    if int8:
        from mera_calibration.gate import Limits
        from mera_export.int8 import Options
        from mera_export.refine import Refinement

        if data is None:
            raise InputError(
                "INT8 needs material to calibrate on and to compare with",
                "give the directory with the corpora as --data",
            )
        # Words that are none of ours are refused there, with a remedy.
        limits = Limits(max_drop, max_ece, prefer)  # type: ignore[arg-type]
        options = Options(limits, ranges, samples, seed=seed)  # type: ignore[arg-type]
        refinement = Refinement(data, options, progress)
    bundle = export_bundle(
        checkpoints,
        out,
        role or ROLES,  # type: ignore[arg-type]  (checked there, with a remedy)
        progress=lambda name: progress.print(f"exporting {name} …", style="dim"),
        refine=refinement,
    )
    _show(bundle, out)
    if refinement is not None:
        refinement.publish(report)
        refused = [one.role for one in refinement.outcomes if not one.accepted and role]
        if refused:
            raise CheckFailed(
                f"no INT8 for {', '.join(refused)}: the bundle has it in full precision",
                "the report says why; without --role the fallback is accepted",
            )


def _show(bundle: Bundle, out: Path) -> None:
    table = Table("role", "precision", "size", title=str(out))
    for name, entry in bundle.manifest.roles.items():
        size = sum(file.bytes for file in entry.files.values())
        table.add_row(name, entry.precision, f"{size / 1e6:.2f} MB")
    Console().print(table)
