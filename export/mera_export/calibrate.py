"""`mera-edge calibrate`: measure activation ranges once, for exports without the corpora."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mera_edge.errors import InputError

app = typer.Typer()


@app.callback(invoke_without_command=True)
def calibrate(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory with the corpora, or your own examples; only the train split is used. "
            "Not needed for checkpoints trained on your own examples."
        ),
    ] = None,
    checkpoints: Annotated[
        Path, typer.Option(help="Directory with one checkpoint per role.")
    ] = Path("train/checkpoints"),
    out: Annotated[Path, typer.Option(help="Output directory, one ROLE.json per role.")] = Path(
        "ranges"
    ),
    role: Annotated[list[str] | None, typer.Option(help="Only this role; repeatable.")] = None,
    ranges: Annotated[
        str, typer.Option(help="Calibration method: minmax, entropy or percentile.")
    ] = "percentile",
    samples: Annotated[int, typer.Option(help="Calibration samples per role.")] = 256,
    seed: Annotated[int, typer.Option(help="Random seed of the calibration samples.")] = 0,
) -> None:
    """Measure the activation ranges that INT8 needs, on training data only."""
    from mera_calibration.calibration import calibrate as find
    from mera_calibration.request import PrecisionRequest
    from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
    from mera_export.bundle import export_bundle
    from mera_export.datasets import Corpora

    roles = role or list(ROLE_EVALUATORS)
    datasets = Corpora(data, checkpoints).for_roles(roles)  # type: ignore[arg-type]
    request = PrecisionRequest(ranges=ranges, samples=samples, datasets=datasets)  # type: ignore[arg-type]
    for name in roles:
        if name not in ROLE_EVALUATORS:
            raise InputError(f"{name!r} is not quantized", f"one of {', '.join(ROLE_EVALUATORS)}")
    request.require_corpora(roles)  # type: ignore[arg-type]
    progress = Console(stderr=True)
    table = Table("role", "samples", "runs", "tensors", "file")
    with progress.status("calibrating") as status, tempfile.TemporaryDirectory() as scratch:
        bundle = export_bundle(checkpoints, Path(scratch) / "full", roles)  # type: ignore[arg-type]
        for name in bundle.manifest.roles:
            given = datasets(name, bundle).train
            found = find(
                bundle,
                name,
                given,
                ranges,  # type: ignore[arg-type]
                samples,
                seed,
                status.update,
            )
            path = found.save(out)
            of = found.ranges
            table.add_row(name, str(of.samples), str(of.steps), str(len(of.tensors)), str(path))
    Console().print(table)
