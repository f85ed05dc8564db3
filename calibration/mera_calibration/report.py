"""The report of a search: a terminal table, JSON, Markdown and a chart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from mera_calibration.precision_trial import Candidate, RoleOutcome
from mera_calibration.quality_gate import Measurement
from mera_calibration.report_chart import draw
from mera_calibration.request import PrecisionRequest
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS

SCHEMA = "mera-edge/export-report/3"
COLUMNS = (
    "role", "target", "precision", "verdict", "n", "metric", "FP32", "smaller", "drop (points)",
    "ECE FP32", "ECE smaller", "agreement", "worst class (points)", "MB FP32", "MB smaller",
    "ms FP32", "ms smaller", "time ratio", "layers in INT8", "Q / DQ",
)  # fmt: skip


@dataclass(frozen=True)
class FusedComparison:
    """Macro-F1 of the fused prediction by condition, in full precision and in INT8."""

    split: str
    full: dict[str, float]
    small: dict[str, float]
    """Empty without INT8."""

    @property
    def drop(self) -> float:
        """Points lost in INT8, in the condition with the largest loss."""
        return max((100 * (self.full[name] - f1) for name, f1 in self.small.items()), default=0.0)

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """By precision and condition."""
        return {"fp32": self.full} | ({"int8": self.small} if self.small else {})


@dataclass(frozen=True)
class Report:
    """All measurements of a search."""

    request: PrecisionRequest
    outcomes: tuple[RoleOutcome, ...]
    fused: FusedComparison | None = None

    def refused(self, roles: Sequence[str]) -> list[str]:
        """Return the reasons why the bundle is not as requested, if any.

        Args:
            roles: roles that were named explicitly; they must be INT8.
        """
        reasons = []
        if self.request.int8:
            reasons = [
                f"no INT8 for {outcome.role} on {target}"
                for outcome in self.outcomes
                for target in self.request.targets
                if outcome.role in roles
                and ((accepted := outcome.accepted(target)) is None or accepted.precision != "int8")
            ]
        if self.fused is not None and self.fused.drop > self.request.limits.max_drop:
            reasons.append(f"the fused prediction loses {self.fused.drop:.2f} points")
        return reasons

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        fused = None
        if self.fused is not None:
            fused = {"split": self.fused.split, "macro_f1": self.fused.scores}
        return {
            "schema": SCHEMA,
            "limits": asdict(self.request.limits),
            "roles": {outcome.role: asdict(outcome) for outcome in self.outcomes},
            "fused": fused,
        }

    def rows(self) -> list[list[str]]:
        """Return one table row per candidate; cells without a measurement are empty."""
        return [
            row + [""] * (len(COLUMNS) - len(row))
            for outcome in self.outcomes
            for row in _rows(outcome)
        ]

    def terminal(self) -> Table:
        """Return a table for the terminal."""
        table = Table(title="Smaller precisions compared with full precision")
        shown = ("role", "target", "runs as", "metric", "FP32", "smaller", "drop", "MB", "time")
        for name in shown:
            table.add_column(name, no_wrap=name == "target")
        for row in self.rows():
            named = dict(zip(COLUMNS, row, strict=True))
            runs_as = "FP32" if named["verdict"] == "refused" else named["precision"]
            size = " → ".join(filter(None, (named["MB FP32"], named["MB smaller"])))
            ratio = f"× {named['time ratio']}" if named["time ratio"] else ""
            figures = (named[name] for name in ("metric", "FP32", "smaller", "drop (points)"))
            table.add_row(named["role"], named["target"], runs_as, *figures, size, ratio)
        if self.fused is not None:
            for name, full in self.fused.full.items():
                small = self.fused.small.get(name)
                cells = (
                    ["", ""] if small is None else [f"{small:.4f}", f"{100 * (full - small):+.2f}"]
                )
                table.add_row("fused", name, "", "macro_f1", f"{full:.4f}", *cells)
        return table

    def markdown(self) -> str:
        """Return the report as Markdown."""
        limits = self.request.limits
        lines = [
            "# Smaller precisions compared with full precision",
            "",
            "![Size, time and accuracy of every role](export.svg)",
            "",
            f"Acceptance limits on the dev split: a drop of {limits.max_drop:g} points of the task "
            f"metric and of {limits.max_class_drop:g} points of the recall of any class, a rise of "
            f"{limits.max_ece:g} of the calibration error (ECE), streaming equal to offline. The "
            f"model has to be {'faster' if limits.prefer == 'speed' else 'smaller'}. Times are "
            "medians of single runs on one thread of this machine, interleaved between both "
            "precisions. Models for TensorRT were compared in ONNX Runtime and not timed: *not run "
            "with TensorRT*.",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|" + " --- |" * len(COLUMNS),
            *("| " + " | ".join(row) + " |" for row in self.rows()),
        ]
        if self.fused is not None:
            lines += [
                "",
                "Macro-F1 of the fused prediction on composed examples of the split "
                f"{self.fused.split}"
                + (", which the fusion was also trained on" if self.fused.split == "dev" else "")
                + ":",
                "",
                *(f"* {name}: {scores}" for name, scores in _by_condition(self.fused)),
            ]
        for outcome in self.outcomes:
            lines += ["", f"## {outcome.role}", "", *_story(outcome)]
        return "\n".join(lines) + "\n"

    def save(self, directory: Path) -> None:
        """Write ``export.json``, ``export.md`` and ``export.svg``."""
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n"
        (directory / "export.json").write_text(text, encoding="utf-8")
        (directory / "export.md").write_text(self.markdown(), encoding="utf-8")
        (directory / "export.svg").write_text(draw(self.outcomes), encoding="utf-8")


def _rows(outcome: RoleOutcome) -> Iterator[list[str]]:
    metric = ROLE_EVALUATORS[outcome.role].metric if outcome.full else ""
    for candidate in outcome.candidates:
        row = [outcome.role, candidate.target, candidate.precision.upper()]
        row.append("accepted" if candidate.accepted else "refused")
        yield row + _figures(outcome, candidate, metric)
    if not outcome.candidates:
        row = [outcome.role, "cpu", "FP32", "", str(outcome.n) if outcome.n else "", metric]
        if full := outcome.full:
            ece = "" if full.score.ece is None else f"{full.score.ece:.3f}"
            row += [f"{full.score.metric:.4f}", "", "", ece, "", "", "", f"{full.bytes / 1e6:.2f}"]
            row += ["", _ms(full)]
        yield row


def _figures(outcome: RoleOutcome, candidate: Candidate, metric: str) -> list[str]:
    found, proof = candidate.comparison, candidate.proof
    proved = ["", ""]
    if proof is not None:
        proved = [f"{proof.layers} of {proof.of}", f"{proof.quantize} / {proof.dequantize}"]
    if found is None:
        size = "" if proof is None else f"{proof.bytes / 1e6:.2f}"
        return ["", "", "", "", "", "", "", "", "", "", size, "", "", "", *proved]
    full, small = found.full, found.small
    worst = max(found.class_drops.items(), key=lambda item: item[1], default=None)
    ratio = ""
    if full.median_ms is not None and small.median_ms is not None:
        ratio = f"{small.median_ms / full.median_ms:.2f}"
    return [
        str(found.n),
        metric,
        f"{full.score.metric:.4f}",
        f"{small.score.metric:.4f}",
        f"{found.drop:+.2f}",
        "" if full.score.ece is None else f"{full.score.ece:.3f}",
        "" if small.score.ece is None else f"{small.score.ece:.3f}",
        f"{found.agreement:.1%}",
        "" if worst is None else f"{worst[0]} {worst[1]:+.1f}",
        f"{full.bytes / 1e6:.2f}",
        f"{small.bytes / 1e6:.2f}",
        _ms(full),
        _ms(small),
        ratio,
        *proved,
    ]


def _ms(side: Measurement) -> str:
    return "" if side.median_ms is None else f"{side.median_ms:.2f}"


def _by_condition(fused: FusedComparison) -> Iterator[tuple[str, str]]:
    for name in fused.full:
        values = [f"{precision.upper()} {of[name]:.4f}" for precision, of in fused.scores.items()]
        yield name, ", ".join(values)


def _story(outcome: RoleOutcome) -> Iterator[str]:
    if not outcome.candidates:
        yield f"FP32{': ' + outcome.reason if outcome.reason else ''}."
    for candidate in outcome.candidates:
        name = f"{candidate.precision.upper()} for {candidate.target}"
        name += ", fine-tuned" if candidate.fine_tuned else ""
        if candidate.accepted:
            yield f"* {name}: accepted" + ("." if candidate.comparison else ", **without a gate**.")
        else:
            yield f"* {name}: refused: {'; '.join(candidate.reasons)}."
        if candidate.float_layers:
            yield f"  Layers kept in float: {', '.join(candidate.float_layers)}."
        if candidate.comparison and candidate.comparison.class_drops:
            drops = candidate.comparison.class_drops.items()
            lost = ", ".join(f"{name} {drop:+.1f}" for name, drop in drops)
            yield f"  Drop of recall by class, in points: {lost}."
    if outcome.candidates and outcome.reason:
        yield f"* No TensorRT model: {outcome.reason}."
    if facts := outcome.calibration:
        yield ""
        yield (
            f"Activation ranges: {facts['ranges']}, {facts['samples']} training samples, "
            f"{facts['steps']} runs of the model, seed {facts['seed']}."
        )
    if outcome.costs:
        yield ""
        yield "Effect of quantizing a single block:"
        yield ""
        yield "| divergence of the outputs, nats | microseconds saved | block |"
        yield "| --- | --- | --- |"
        for cost in outcome.costs:
            yield f"| {cost.divergence:.2g} | {cost.saved_us:.0f} | {', '.join(cost.block)} |"
