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
from mera_edge.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from mera_calibration.report import Report
    from mera_edge.bundle import RoleName

app = typer.Typer()


@app.callback(invoke_without_command=True)
def export(
    out: Annotated[Path, typer.Option(help="Bundle to write; an existing one is replaced.")] = Path(
        "bundle"
    ),
    checkpoints: Annotated[
        Path, typer.Option(help="Directory with one checkpoint per role.")
    ] = Path("train/checkpoints"),
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle. Default: the name of its directory.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="Export only this role; repeatable. With --int8, exit code 1 unless it is INT8.",
            autocompletion=complete.roles,
        ),
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Bundle to take all other roles from.")] = None,
    chunk: Annotated[
        int | None,
        typer.Option(
            help="Encoder frames to a chunk of the recognizer (default: as it was trained)."
        ),
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
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with the corpora: calibrates on train, compares on dev."),
    ] = None,
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
    max_drop: Annotated[
        float, typer.Option(help="Largest accepted drop of the task metric, in points.")
    ] = (0.5),
    max_class_drop: Annotated[
        float, typer.Option(help="Largest accepted drop of any class's recall, in points.")
    ] = 5.0,
    max_ece: Annotated[
        float, typer.Option(help="Largest accepted rise of the calibration error (ECE).")
    ] = 0.02,
    prefer: Annotated[str, typer.Option(help="What INT8 must improve: speed or size.")] = "speed",
    ranges: Annotated[
        str, typer.Option(help="Calibration method: minmax, entropy or percentile.")
    ] = "percentile",
    samples: Annotated[int, typer.Option(help="Calibration samples per role.")] = 256,
    seed: Annotated[int, typer.Option(help="Random seed of the calibration samples.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Directory for export.json, export.md and export.svg.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Build TensorRT engines of this bundle, on the device itself; export nothing."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="With --bundle: check with TensorRT for RTX, which needs no GPU; keep nothing.",
        ),
    ] = False,
    verify: Annotated[
        Path | None, typer.Option(help="Compare this bundle with its checkpoints; export nothing.")
    ] = None,
) -> None:
    """Export checkpoints to a bundle for the device, verified against PyTorch."""
    progress = Console(stderr=True)
    if verify is not None:
        _verify(verify, checkpoints, data, (max_drop, max_class_drop, max_ece), progress)
        return
    if bundle is not None or check:
        _engines(bundle, target, check, progress)
        return
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

        # Words that are none of ours are refused by `PrecisionRequest`, with a remedy.
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
        _check(out, progress)
    remedy = f"mera-edge export --target tensorrt --bundle {out}"
    progress.print(f"engines are built on the device: {remedy}", style="dim")


def _engines(
    bundle: Path | None, target: Sequence[str] | None, check: bool, progress: Console
) -> None:
    if bundle is None:
        raise InputError("--check is for a bundle", "give --target tensorrt --bundle DIR --check")
    if target != ["tensorrt"]:
        raise InputError(
            "only TensorRT needs engines of a bundle", "give --target tensorrt, and only that"
        )
    (_check if check else _build)(bundle, progress)


def _report(found: Report, directory: Path | None, roles: Sequence[str], out: Path) -> None:
    Console().print(found.terminal())
    if directory is not None:
        found.save(directory)
    if reasons := found.refused(roles):
        raise CheckFailed(
            f"{out} is not as requested: {'; '.join(reasons)}",
            "the report gives the reasons; only roles named with --role have to be INT8",
        )


def _build(bundle: Path, progress: Console) -> None:
    from mera_export.tensorrt import Options, build_engines, table

    with progress.status("building engines") as status:
        results = build_engines(Bundle.open(bundle), Options(), status.update)
    Console().print(table(results))
    if failed := [one.role for one in results if one.path is None]:
        raise CheckFailed(
            f"no engine for {', '.join(failed)}", "ONNX Runtime runs them; the table says why"
        )


def _check(bundle: Path, progress: Console) -> None:
    import onnx

    from mera_export.legality import violations
    from mera_export.tensorrt_rtx import judge

    opened = Bundle.open(bundle)
    files = {
        name: opened.role(name).path("tensorrt" if "tensorrt" in entry.files else "model")
        for name, entry in opened.manifest.roles.items()
    }
    with progress.status("building with TensorRT for RTX"):
        verdicts = judge(list(files.values()))
    table = Table("role", "file", "NVIDIA's parser and builder", "older TensorRT, speed")
    for name, verdict in zip(files, verdicts, strict=True):
        built = f"an engine of {verdict.engine_bytes / 1e6:.1f} MB"
        rest = [f"{v.node}: {v.what}" for v in violations(onnx.load(verdict.path))]
        more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
        table.add_row(name, verdict.path.name, verdict.complaint or built, "".join(rest[:1]) + more)
    Console().print(table)
    if refused := [name for name, v in zip(files, verdicts, strict=True) if not v.accepted]:
        raise CheckFailed(
            f"TensorRT builds no engine of {', '.join(refused)}",
            "export the bundle with --target tensorrt; the table says what it does not read",
        )


def _verify(
    bundle: Path,
    checkpoints: Path,
    data: Path | None,
    limits: tuple[float, float, float],
    progress: Console,
) -> None:
    from mera_calibration.quality_gate import AcceptanceLimits
    from mera_export.verify import verify

    with progress.status("verifying") as status:
        checks = verify(bundle, checkpoints, data, AcceptanceLimits(*limits), status.update)
    table = Table("role", "check", "found", "", title=str(bundle))
    for check in checks:
        mark = "[green]yes[/]" if check.passed else "[bold red]no[/]"
        table.add_row(check.role, check.what, check.found, mark)
    Console().print(table)
    if data is None:
        progress.print("give --data to compare answers to real material too", style="dim")
    if failed := [f"{check.role}: {check.what}" for check in checks if not check.passed]:
        raise CheckFailed(f"{bundle} is not verified: {'; '.join(failed)}", "export it again")


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
