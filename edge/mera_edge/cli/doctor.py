"""`mera-edge doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mera_edge.cli import options
from mera_edge.errors import CheckFailed

if TYPE_CHECKING:
    from rich.console import Console

    from mera_edge.runtime.finding import Finding


def doctor(
    camera: options.Camera = None,
    mic: options.Mic = None,
    provider: options.Provider = None,
    config: options.Config = None,
    json: options.Json = False,
    bundle: options.Bundle = None,
) -> None:
    """Check everything that a run with the same options depends on, and say what to do.

    Exits with 1 when the run cannot succeed. A camera or microphone that is missing and was not
    asked for is only pointed out: files work without them.
    """
    import json as to_json
    from dataclasses import asdict

    from mera_edge.cli.console import stdout
    from mera_edge.config import load
    from mera_edge.runtime.doctor import examine

    flags = {"camera": camera, "mic": mic, "providers": options.pairs(provider), "bundle": bundle}
    findings = examine(load(config, flags))
    if json:
        print(to_json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            _show(finding, stdout())
    failed = [finding.what for finding in findings if finding.state == "fail"]
    if failed:
        raise CheckFailed(f"not healthy: {', '.join(failed)}", "the lines above say what to do")


def _show(finding: Finding, console: Console) -> None:
    from rich.text import Text

    style = {"ok": "green", "note": "yellow", "fail": "bold red"}[finding.state]
    line = Text(f"{finding.state:4} ", style).append(finding.what, "bold default")
    console.print(line.append(f"  {finding.found}", "default"), highlight=False)
    if finding.remedy:
        console.print(Text(f"     {finding.remedy}", "dim"), highlight=False)
