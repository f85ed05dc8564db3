"""The receipt of `doctor --egress`: what was traced, and whether anything left."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import mera_edge
from mera_edge.bundle import Bundle
from mera_edge.bundle.manifest import sha256
from mera_edge.doctor import egress
from mera_edge.doctor.egress import EgressTrace
from mera_edge.sample import CLIP

SCHEMA = "mera-edge/egress/1"
HOW = (
    "every system call that opens a socket, starts a program or makes or opens a file for writing,"
    " of the command and all that it started; HOME and TMPDIR are empty, CI is unset"
)


@dataclass(frozen=True)
class Receipt:
    """The traces, and the code, packages and models that they apply to."""

    at: str
    strace: str
    system: str
    code: dict[str, str]
    """Version of the package, and SHA-256 over the sorted paths and contents of its sources."""
    packages: dict[str, str]
    """Versions of all installed packages."""
    models: dict[str, str]
    """SHA-256 of every file of the bundle."""
    traces: dict[str, EgressTrace]
    """By verb."""

    @property
    def clean(self) -> bool:
        """Whether every trace is clean."""
        return all(trace.clean for trace in self.traces.values())

    def facts(self) -> dict[str, Any]:
        """Return the receipt for JSON."""
        verdict = "nothing left" if self.clean else "something left, or a command failed"
        return {"schema": SCHEMA, "how": HOW, **asdict(self), "verdict": verdict}


def prove(bundle: Path | None, said: Callable[[str], None]) -> Receipt:
    """Run the verbs on the bundled sample under strace, after a positive control.

    Takes about half a minute.

    Args:
        bundle: the models; those in the package when ``None``.
        said: called with the name of every verb before it runs.

    Raises:
        BundleError: the bundle cannot be opened.
        InputError: strace is not installed, or not permitted.
        CheckFailed: the positive control failed.
    """
    roles = Bundle.open(bundle).manifest.roles.values()
    egress.control()
    chosen = () if bundle is None else ("--bundle", str(bundle.resolve()))
    clip = str(CLIP)
    traces = {}
    with tempfile.TemporaryDirectory(prefix="mera-edge-") as out:
        sink, defaults = Path(out) / "events.jsonl", Path(out) / "config.toml"
        defaults.touch()
        for verb, options in {
            "predict": (clip, "--json"),
            "transcribe": (clip,),
            "bench": (clip, "--passes", "1"),
            "run": (
                "--camera", clip, "--mic", clip, "--sink", str(sink), "--config", str(defaults)
            ),
        }.items():  # fmt: skip
            said(verb)
            traces[verb] = egress.trace([*egress.COMMAND, verb, *options, *chosen], [sink])
    return Receipt(
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        strace=_strace(),
        system=f"Python {platform.python_version()} on {platform.platform()}",
        code={"version": mera_edge.__version__, "sha256": _sources()},
        packages=dict(sorted((d.name, d.version) for d in distributions())),
        models={f.path: f.sha256 for role in roles for f in role.files.values()},
        traces=traces,
    )


def _strace() -> str:
    told = subprocess.run(["strace", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.partition("\n")[0]


def _sources() -> str:
    root = Path(mera_edge.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)} {sha256(path)}\n".encode())
    return digest.hexdigest()
