"""`mera-edge doctor`: diagnoses what works here, and how to fix what does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mera_edge.cli import options
from mera_edge.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from mera_edge.doctor.check import Check
    from mera_edge.doctor.receipt import Receipt


def doctor(
    camera: options.Camera = None,
    mic: options.Mic = None,
    provider: options.Provider = None,
    config: options.Config = None,
    assigned: options.Assigned = None,
    json: options.Json = False,
    bundle: options.Bundle = None,
    egress: Annotated[
        bool,
        typer.Option(
            "--egress",
            help="Instead, run predict, transcribe, bench and run on the sample under strace and "
            "report unexpected sockets and files. Exit code 1 if there are any.",
        ),
    ] = False,
) -> None:
    """Check everything that a run with the same options needs, and suggest fixes.

    The exit code is 1 if the run cannot succeed. A missing camera or microphone that was not
    requested is only a note: files work without them.
    """
    if egress:
        if camera or mic or provider or config or assigned:
            raise InputError(
                "--egress runs the bundled sample with the default settings",
                "combine it only with --bundle and --json",
            )
        _egress(bundle, json)
        return
    import json as to_json
    from dataclasses import asdict

    from mera_edge.cli.console import stdout
    from mera_edge.config import load
    from mera_edge.doctor.examine import examine

    flags = {"camera": camera, "mic": mic, "providers": options.pairs(provider), "bundle": bundle}
    checks = examine(load(config, flags, assigned=assigned or ()))
    if json:
        print(to_json.dumps([asdict(check) for check in checks], ensure_ascii=False))
    else:
        for check in checks:
            _show(check, stdout())
    failed = [check.what for check in checks if check.state == "fail"]
    if failed:
        raise CheckFailed(f"failed checks: {', '.join(failed)}", "see the suggestions above")


def _show(check: Check, console: Console) -> None:
    from rich.text import Text

    style = {"ok": "green", "note": "yellow", "fail": "bold red"}[check.state]
    line = Text(f"{check.state:4} ", style).append(check.what, "bold default")
    console.print(line.append(f"  {check.found}", "default"), highlight=False)
    if check.remedy:
        console.print(Text(f"     {check.remedy}", "dim"), highlight=False)


def _egress(bundle: Path | None, json: bool) -> None:
    import json as to_json

    from mera_edge.cli.console import stderr, stdout
    from mera_edge.doctor.receipt import prove

    receipt = prove(bundle, lambda verb: stderr().print(f"watching {verb}", highlight=False))
    if json:
        print(to_json.dumps(receipt.facts(), ensure_ascii=False))
    else:
        _show_receipt(receipt, stdout())
    left = [verb for verb, trace in receipt.traces.items() if not trace.clean]
    if left:
        raise CheckFailed(f"egress not ruled out for {', '.join(left)}", "see the receipt above")


def _show_receipt(receipt: Receipt, console: Console) -> None:
    from mera_edge.doctor.check import Check
    from mera_edge.doctor.receipt import HOW

    facts = {
        "when": receipt.at,
        "how": f"{receipt.strace}: {HOW}",
        "where": f"{receipt.system}, {len(receipt.packages)} packages (--json names them)",
        "code": f"mera-edge {receipt.code['version']}, SHA-256 {receipt.code['sha256']}",
    }
    facts |= {f"model {file}": f"SHA-256 {found}" for file, found in receipt.models.items()}
    for what, found in facts.items():
        _show(Check(what, "ok", found), console)
    for verb, trace in receipt.traces.items():
        seen = [*trace.sockets, *trace.files]
        seen += [f"exit code {trace.exit_code}: {trace.said}"] if trace.exit_code else []
        found = "; ".join(seen) or f"no socket, no file, in {trace.seconds:.1f} s"
        _show(Check(verb, "ok" if trace.clean else "fail", found), console)
