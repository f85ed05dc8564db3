"""`mera-edge export`: checkpoints to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from mera_edge.bundle import Bundle
from mera_edge.cli import complete
from mera_edge.errors import CheckFailed
from mera_export import of_bundle
from mera_export.of_bundle import judge_files

if TYPE_CHECKING:
    from mera_calibration.report import Report
    from mera_edge.bundle import RoleName

app = typer.Typer()
app.command("verify")(of_bundle.verify)
app.command("engines")(of_bundle.engines)


@app.callback(invoke_without_command=True)
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Bundle to write; an existing one is replaced.")] = Path(
        "bundle"
    ),
    checkpoints: of_bundle.Checkpoints = Path("train/checkpoints"),
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle. Default: the name of its directory.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="Export only this role; repeatable. With --int8, the exit code is 1 unless the "
            "role becomes INT8.",
            autocompletion=complete.roles,
        ),
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Bundle to take all other roles from.")] = None,
    chunk: Annotated[
        int | None,
        typer.Option(help="Encoder frames per chunk of the recognizer. Default: as in training."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="`commercial`: refuse weights that do not permit commercial use."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize to INT8 where the quality gate passes.")
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Target: cpu or tensorrt; repeat for both."),
    ] = None,
    data: of_bundle.Data = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Output of `mera-edge calibrate`, instead of --data.")
    ] = None,
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Skip the quality gate; the bundle records it.")
    ] = False,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare only this role and accept the others; repeatable.",
            autocompletion=complete.roles,
        ),
    ] = None,
    cpu: Annotated[
        str,
        typer.Option(
            help="Instruction set of the target CPU: x86 (safe everywhere), x86-vnni or arm64."
        ),
    ] = "x86",
    fine_tune: Annotated[
        int,
        typer.Option(
            help="Quantization-aware training steps for a role that degrades under INT8, e.g. 200."
        ),
    ] = 0,
    max_drop: of_bundle.MaxDrop = 0.5,
    max_class_drop: of_bundle.MaxClassDrop = 5.0,
    max_ece: of_bundle.MaxEce = 0.02,
    prefer: Annotated[str, typer.Option(help="What INT8 must improve: speed or size.")] = "speed",
    ranges: Annotated[
        str, typer.Option(help="Calibration method: minmax, entropy or percentile.")
    ] = "percentile",
    samples: Annotated[int, typer.Option(help="Calibration samples per role.")] = 256,
    seed: Annotated[int, typer.Option(help="Random seed of the calibration samples.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Directory for export.json, export.md and export.svg.")
    ] = None,
) -> None:
    """Export checkpoints to a bundle for the device, verified against PyTorch."""
    if context.invoked_subcommand is not None:
        return
    progress = Console(stderr=True)
    from mera_export.bundle import ROLES, export_bundle

    # `export_bundle` refuses unknown ones, with a remedy.
    roles = cast("Sequence[RoleName]", role or ROLES)
    others = None if base is None else Bundle.open(base)
    if licence is not None:
        from mera_export.licence import require

        require(licence, checkpoints, roles, others)
    search = result = None
    if int8 or data is not None or target not in (None, ["cpu"]):
        from mera_calibration.quality_gate import AcceptanceLimits
        from mera_export.precision import precision_search

        # `PrecisionRequest` refuses unknown values, with a remedy.
        search = precision_search(
            data,
            checkpoints,
            roles,
            fine_tune,
            progress,
            int8=int8,
            targets=tuple(dict.fromkeys(target or ["cpu"])),
            instruction_set=cpu,
            limits=AcceptanceLimits(max_drop, max_class_drop, max_ece, prefer),  # type: ignore[arg-type]
            gate=not no_gate,
            gated=tuple(gate) if gate else None,
            ranges=ranges,
            samples=samples,
            seed=seed,
            calibrations=calibration,
        )

    def refine(full: Bundle) -> Bundle:
        nonlocal result
        result = search(full) if search else None
        return result.bundle if result else full

    exported = export_bundle(
        checkpoints,
        out,
        roles,
        name,
        progress=lambda name: progress.print(f"exporting {name} …", style="dim"),
        refine=refine,
        base=others,
        chunk=chunk,
    )
    _show(exported, out)
    if result is not None:
        _report(result.report, report, role or (), out)
    if "tensorrt" in (target or ()):
        _prepared_for_tensorrt(out, progress)


def _prepared_for_tensorrt(out: Path, progress: Console) -> None:
    from mera_export.tensorrt_rtx import installed

    if installed():
        judge_files(out, progress)
    progress.print(f"engines are built on the device: mera-edge export engines {out}", style="dim")


def _report(found: Report, directory: Path | None, roles: Sequence[str], out: Path) -> None:
    Console().print(found.terminal())
    if directory is not None:
        found.save(directory)
    if reasons := found.refused(roles):
        raise CheckFailed(
            f"{out} is not as requested: {'; '.join(reasons)}",
            "the report gives the reasons; only roles named with --role have to be INT8",
        )


def _show(bundle: Bundle, out: Path) -> None:
    table = Table("role", "precision", "for TensorRT", "size", title=str(out))
    total = 0
    for name, entry in bundle.manifest.roles.items():
        size = sum(file.bytes for key, file in entry.files.items() if key != "tensorrt")
        total += size
        table.add_row(name, entry.precision, entry.tensorrt or "", f"{size / 1e6:.2f} MB")
    table.add_row("all", "", "", f"{total / 1e6:.2f} MB")
    Console().print(table)
    if unstated := [n for n, e in bundle.manifest.roles.items() if e.licence == "unknown"]:
        Console().print(
            f"nobody has stated the licence of {', '.join(unstated)}: write `licence: ...` into "
            "config.yaml of the checkpoint",
            highlight=False,
        )
