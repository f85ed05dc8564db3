"""Compares models on the same labelled examples, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_edge.bundle.catalogue import downloaded_for, published
from mera_edge.errors import InputError

OURS = "ours"
"""Name of the bundle's model."""


@dataclass(frozen=True)
class Compared:
    """The result of one model on all examples."""

    name: str
    figures: dict[str, Any]
    """Result of `mera_edge.evaluation.evaluate.evaluate`."""
    cpu_s: float
    """CPU time of the whole evaluation, including loading."""
    memory_mb: float
    """Peak resident set size of its process."""


def compare(role: str, names: Sequence[str], manifest: Path, bundle: Path | None) -> list[Compared]:
    """Evaluate each model as `mera-edge evaluate` does.

    Args:
        role: a key of `mera_edge.evaluation.evaluate.EVALUATORS`.
        names: `OURS`, or downloaded models for the role; for asr also those of the final pass.
        manifest: CSV file with the examples.
        bundle: the one in the package when ``None``.

    Raises:
        InputError: a model has not been downloaded or is for another role, or an evaluation fails.
    """
    chosen = [_arguments(role, name) for name in names]
    common = ["evaluate", role, "--manifest", str(manifest), "--json"]
    common += [] if bundle is None else ["--bundle", str(bundle)]
    return [_run(name, [*common, *more]) for name, more in zip(names, chosen, strict=True)]


def _arguments(role: str, name: str) -> list[str]:
    """Return the options of `evaluate` that select a model."""
    if role == "asr":
        return _recognizer(name)
    if name == OURS:
        return []
    downloaded_for(role, name)
    return ["--published", f"{role}={name}"]


def _recognizer(name: str) -> list[str]:
    """Return the options of `evaluate` that select a recognizer, or a final pass after ours."""
    if name == OURS:
        return ["--final", "none"]
    if published(name).role == "asr_final":
        return ["--final", name]
    downloaded_for("asr", name)
    return ["--asr", f"sherpa:{name}", "--final", "none"]


def _run(name: str, arguments: Sequence[str]) -> Compared:
    process = subprocess.Popen(
        [sys.executable, "-m", "mera_edge", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise InputError(f"{name} could not be evaluated", "its error is above")
    # In KiB on Linux.
    memory_mb = used.ru_maxrss * 1024 / 1e6
    return Compared(name, json.loads(said), used.ru_utime + used.ru_stime, memory_mb)
