"""`mera-edge doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

from mera_edge.cli import options
from mera_edge.errors import CheckFailed


def doctor(json: options.Json = False, bundle: options.Bundle = None) -> None:
    """Check the installation, the models, the camera and the microphone.

    Exits with 1 when something fails that every run needs. A missing camera or microphone is
    only pointed out: files work without them.
    """
    import json as to_json
    from dataclasses import asdict

    from rich.table import Table

    from mera_edge.cli.console import stdout
    from mera_edge.runtime.doctor import examine

    findings = examine(bundle)
    if json:
        print(to_json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "fail": "[bold red]fail[/]"}
        table = Table("", "what", "found", "remedy", show_lines=False)
        for finding in findings:
            table.add_row(marks[finding.state], finding.what, finding.found, finding.remedy)
        stdout().print(table)
    failed = [finding.what for finding in findings if finding.state == "fail"]
    if failed:
        raise CheckFailed(f"not healthy: {', '.join(failed)}", "the table above says what to do")
