"""Compares two results of `bench`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mera_edge.bench.bench import SCHEMA
from mera_edge.errors import InputError

FIGURES = (
    "real_time_factor", "cpu_percent", "waited_percent", "compute_ms.p50", "compute_ms.p95",
    "compute_ms.p99", "compute_ms.max", "cpu_ms.p50", "cpu_ms.p95", "staleness_ms.p50",
    "staleness_ms.p95", "staleness_ms.p99", "staleness_ms.max", "start_up_s", "pss_mb", "rss_mb",
    "energy_mj_per_event", "energy_j_per_hour",
)  # fmt: skip
"""Figures that are compared; lower is better for all of them."""

CONDITIONS = ("clip", "realtime", "budget_ms", "ticks_per_second", "passes")


def read(path: Path) -> dict[str, Any]:
    """Read the output of `bench --json` for one bundle.

    Raises:
        InputError: the file is not such an output.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        facts = json.loads(lines[0]) if len(lines) == 1 else None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", _REMEDY) from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise InputError(f"{path} is not one result of schema {SCHEMA}", _REMEDY)
    return facts


_REMEDY = "write it with `mera-edge bench --json > FILE`, one bundle per file"


def compare(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return both values and their ratio per figure, and the conditions that differ."""
    return {
        "schema": "mera-edge/bench-comparison/1",
        "bundles": [first["bundle"], second["bundle"]],
        "differ": [
            *(name for name in CONDITIONS if first[name] != second[name]),
            *_different_machine(first["machine"], second["machine"]),
        ],
        "figures": {
            name: {"first": a, "second": b, "ratio": round(b / a, 4) if a and b else None}
            for name in FIGURES
            for a, b in [(_figure(first, name), _figure(second, name))]
        },
    }


def _different_machine(first: dict[str, Any], second: dict[str, Any]) -> Iterator[str]:
    for name in ("system", "cores", "python", "onnxruntime", "power_mode"):
        if first[name] != second[name]:
            yield f"machine.{name}"


def _figure(facts: dict[str, Any], name: str) -> float | None:
    value: Any = facts
    for part in name.split("."):
        value = None if value is None else value.get(part)
    return None if value is None else float(value)
