"""`mera-edge export verify` and `export engines`: commands for an existing bundle."""

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

if TYPE_CHECKING:
    from mera_edge.bundle import RoleName

Directory = Annotated[Path, typer.Argument(help="Bundle.")]
Checkpoints = Annotated[Path, typer.Option(help="Directory with one checkpoint per role.")]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Directory with the corpora or, with --role, the examples you trained it on. "
        "Calibrates on train, compares on dev."
    ),
]
MaxDrop = Annotated[
    float, typer.Option(help="Largest accepted drop of the task metric, in points.")
]
MaxClassDrop = Annotated[
    float, typer.Option(help="Largest accepted drop of any class's recall, in points.")
]
MaxEce = Annotated[
    float, typer.Option(help="Largest accepted rise of the calibration error (ECE).")
]


def verify(
    bundle: Directory,
    checkpoints: Checkpoints = Path("train/checkpoints"),
    data: Data = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Verify only this role; repeatable.", autocompletion=complete.roles),
    ] = None,
    max_drop: MaxDrop = 0.5,
    max_class_drop: MaxClassDrop = 5.0,
    max_ece: MaxEce = 0.02,
) -> None:
    """Compare a bundle with its checkpoints: hashes, outputs, and predictions on the dev split."""
    from mera_calibration.quality_gate import AcceptanceLimits
    from mera_export.verify import verify

    progress, limits = Console(stderr=True), AcceptanceLimits(max_drop, max_class_drop, max_ece)
    roles = cast("Sequence[RoleName] | None", role)
    with progress.status("verifying") as status:
        checks = verify(bundle, checkpoints, data, limits, status.update, only=roles)
    table = Table("role", "check", "found", "", title=str(bundle))
    for check in checks:
        mark = "[green]yes[/]" if check.passed else "[bold red]no[/]"
        table.add_row(check.role, check.what, check.found, mark)
    Console().print(table)
    if data is None:
        progress.print("give --data to compare answers to real material too", style="dim")
    if failed := [f"{check.role}: {check.what}" for check in checks if not check.passed]:
        raise CheckFailed(f"{bundle} is not verified: {'; '.join(failed)}", "export it again")


def engines(
    bundle: Directory,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Only check that the engines build with TensorRT for RTX, which needs no GPU; "
            "keep nothing.",
        ),
    ] = False,
) -> None:
    """Build the TensorRT engines of a bundle, on the device that will run them."""
    if check:
        judge_files(bundle, Console(stderr=True))
        return
    from mera_export.tensorrt import Options, build_engines, table

    with Console(stderr=True).status("building engines") as status:
        results = build_engines(Bundle.open(bundle), Options(), status.update)
    Console().print(table(results))
    if failed := [one.role for one in results if one.path is None]:
        raise CheckFailed(
            f"no engine for {', '.join(failed)}", "ONNX Runtime runs them; the table says why"
        )


def judge_files(bundle: Path, progress: Console) -> None:
    """Try to build an engine of each file with TensorRT for RTX.

    Raises:
        CheckFailed: a file has no engine.
    """
    import onnx

    from mera_export.legality import violations
    from mera_export.tensorrt_rtx import try_build

    opened = Bundle.open(bundle)
    files = {
        name: opened.role(name).path("tensorrt" if "tensorrt" in entry.files else "model")
        for name, entry in opened.manifest.roles.items()
    }
    with progress.status("building with TensorRT for RTX"):
        verdicts = try_build(list(files.values()))
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
