"""Checks that a run only needs system calls permitted by the systemd unit.

    python benchmarks/sandbox.py

Runs the bundled sample live, with a file and a page for sinks, under strace, and compares the calls
with the unit's SystemCallFilter=, as `systemd-analyze syscall-filter` lists it. What it does not
permit fails (EPERM, as the unit says) in a second run, which has to end well. Exit code 1 if not.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mosquitto import free_port

from mera_edge.sample import CLIP
from mera_edge.service.systemd.unit import Unit


@functools.cache
def calls(name: str) -> frozenset[str]:
    """Return the system calls of a set, or a call itself."""
    if not name.startswith("@"):
        return frozenset({name})
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    )
    lines = (line.strip() for line in told.stdout.splitlines()[1:])
    return frozenset().union(*(calls(line) for line in lines if line and line[0] != "#"))


def permitted() -> frozenset[str]:
    """Return what the unit permits."""
    may = calls("@default")
    for line in Unit("/bin/true", Path("/etc/config.toml"), 252).text().splitlines():
        key, _, sets = line.partition("=")
        if key == "SystemCallFilter":
            named = frozenset().union(*map(calls, sets.lstrip("~").split()))
            may = may - named if sets.startswith("~") else may | named
    return may


def run(folder: Path, *options: str) -> int:
    """Run the sample under strace."""
    config = folder / "config.toml"
    sinks = [str(folder / "events.jsonl"), f"http://127.0.0.1:{free_port()}"]
    config.write_text(f"camera = {json.dumps(str(CLIP))}\nmic = {json.dumps(str(CLIP))}\n"
                      f"sink = {json.dumps(sinks)}\n")  # fmt: skip
    program = [sys.executable, "-m", "mera_edge", "run", "--config", str(config)]
    return subprocess.run(
        ["strace", "-f", "-o", str(folder / "trace"), *options, *program],
        stderr=subprocess.DEVNULL, check=False,
    ).returncode  # fmt: skip


def main() -> int:
    """Trace, compare, refuse."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, "-c")
        rows = [line.split() for line in (folder / "trace").read_text().splitlines()]
        used = {row[-1] for row in rows if row and row[0][0].isdigit() and row[-1] != "total"}
        refused = sorted(used - permitted())
        ended = 0
        if refused:
            asked = ",".join(refused)
            ended = run(folder, "-e", f"trace={asked}", "-e", f"inject={asked}:error=EPERM")
    print(json.dumps({"calls": len(used), "refused": refused, "run_without_them": ended}))
    return ended


if __name__ == "__main__":
    sys.exit(main())
