"""What an INT8 export came to: a table for the terminal, JSON, Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from mera_calibration.gate import Limits
from mera_calibration.subjects import SUBJECTS
from mera_export.int8 import Outcome

SCHEMA = "mera-edge/export-report/1"
COLUMNS = (
    "role", "runs as", "n", "metric", "FP32", "INT8", "drop (points)", "ECE FP32", "ECE INT8",
    "agreement", "worst class (points)", "MB FP32", "MB INT8", "ms FP32", "ms INT8", "ratio",
    "layers in INT8", "Q / DQ",
)  # fmt: skip


def as_json(outcomes: Sequence[Outcome], limits: Limits) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "schema": SCHEMA,
        "limits": asdict(limits),
        "roles": {outcome.role: asdict(outcome) for outcome in outcomes},
    }


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the table, a row per role; what was not measured is empty."""
    table = []
    for outcome in outcomes:
        row = [outcome.role, "INT8" if outcome.accepted else "FP32"]
        found, proof = outcome.comparison, outcome.proof
        if found is None:
            table.append(row + [""] * (len(COLUMNS) - len(row)))
            continue
        full, small = found.fp32, found.int8
        worst = max(found.class_drops.items(), key=lambda item: item[1], default=None)
        row += [
            str(found.n),
            SUBJECTS[outcome.role].metric,
            f"{full.score.metric:.4f}",
            f"{small.score.metric:.4f}",
            f"{found.drop:+.2f}",
            "" if full.score.ece is None else f"{full.score.ece:.3f}",
            "" if small.score.ece is None else f"{small.score.ece:.3f}",
            f"{found.agreement:.1%}",
            "" if worst is None else f"{worst[0]} {worst[1]:+.1f}",
            f"{full.bytes / 1e6:.2f}",
            f"{small.bytes / 1e6:.2f}",
            f"{full.median_ms:.2f}",
            f"{small.median_ms:.2f}",
            f"{small.median_ms / full.median_ms:.2f}",
            "" if proof is None else f"{proof.layers} of {proof.of}",
            "" if proof is None else f"{proof.quantize} / {proof.dequantize}",
        ]
        table.append(row)
    return table


def terminal(outcomes: Sequence[Outcome]) -> Table:
    """Return the table turned round: a role per column, which fits a terminal."""
    table = Table("", *(outcome.role for outcome in outcomes), title="FP32 against INT8")
    for name, *values in list(zip(COLUMNS, *rows(outcomes), strict=True))[1:]:
        table.add_row(name, *values)
    return table


def markdown(outcomes: Sequence[Outcome], limits: Limits) -> str:
    """Return the report as Markdown."""
    lines = [
        "# FP32 against INT8",
        "",
        f"The gate: at most {limits.max_drop:g} points of the task metric and {limits.max_ece:g} "
        "of the calibration error (ECE) lost on the dev split, streaming equal to offline, and "
        f"{'faster' if limits.prefer == 'speed' else 'smaller'}. Times are medians of runs of the "
        "model on one thread in which both precisions took turns.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
        *("| " + " | ".join(row) + " |" for row in rows(outcomes)),
    ]
    for outcome in outcomes:
        lines += ["", f"## {outcome.role}", "", *_story(outcome)]
    return "\n".join(lines) + "\n"


def _story(outcome: Outcome) -> list[str]:
    lines = ["INT8." if outcome.accepted else "FP32, because:"]
    lines += [f"* {reason}" for reason in outcome.reasons]
    if facts := outcome.calibration:
        lines += [
            "",
            f"Ranges by {facts['ranges']} on {facts['samples']} training samples, "
            f"{facts['steps']} runs of the model, seed {facts['seed']}.",
        ]
    if outcome.left:
        lines += ["", f"Left in float for the gate's sake: {', '.join(outcome.left)}."]
    if outcome.costs:
        lines += ["", "What quantizing a block alone costs (divergence of the answers, nats):", ""]
        lines += [f"* {cost.divergence:.2g}: {', '.join(cost.block)}" for cost in outcome.costs]
    if outcome.comparison and outcome.comparison.class_drops:
        drops = outcome.comparison.class_drops.items()
        lines += ["", "Recall lost by class, in points: "]
        lines[-1] += ", ".join(f"{name} {drop:+.1f}" for name, drop in drops) + "."
    return lines


def save(outcomes: Sequence[Outcome], limits: Limits, directory: Path) -> None:
    """Write ``export.json`` and ``export.md``."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(outcomes, limits), indent=1, ensure_ascii=False) + "\n"
    (directory / "export.json").write_text(text, encoding="utf-8")
    (directory / "export.md").write_text(markdown(outcomes, limits), encoding="utf-8")
