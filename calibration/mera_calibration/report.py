"""What an export came to: a table for the terminal, JSON, Markdown and a picture."""

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

SCHEMA = "mera-edge/export-report/2"
COLUMNS = (
    "role", "target", "precision", "verdict", "n", "metric", "FP32", "smaller", "drop (points)",
    "ECE FP32", "ECE smaller", "agreement", "worst class (points)", "MB FP32", "MB smaller",
    "ms FP32", "ms smaller", "ratio of times", "layers in INT8", "Q / DQ",
)  # fmt: skip


@dataclass(frozen=True)
class FusedComparison:
    """Macro-F1 of the fused answer by condition, in full precision and in INT8."""

    split: str
    full: dict[str, float]
    small: dict[str, float]
    """Empty without INT8."""

    @property
    def drop(self) -> float:
        """Points that INT8 loses, under the condition where it loses most."""
        return max((100 * (self.full[name] - f1) for name, f1 in self.small.items()), default=0.0)

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """By precision and condition."""
        return {"fp32": self.full} | ({"int8": self.small} if self.small else {})


@dataclass(frozen=True)
class Report:
    """Everything that was measured."""

    request: PrecisionRequest
    outcomes: tuple[RoleOutcome, ...]
    fused: FusedComparison | None = None

    def refused(self, roles: Sequence[str]) -> list[str]:
        """Return why the bundle is not what was demanded; nothing when it is.

        Args:
            roles: those that were asked for by name: they must be INT8.
        """
        reasons = []
        if self.request.int8:
            reasons = [
                f"no INT8 for {outcome.role} on {target}"
                for outcome in self.outcomes
                for target in self.request.targets
                if outcome.role in roles
                and ((taken := outcome.taken(target)) is None or taken.precision != "int8")
            ]
        if self.fused is not None and self.fused.drop > self.request.limits.max_drop:
            reasons.append(f"the fused answer loses {self.fused.drop:.2f} points")
        return reasons

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
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
        """Return the table, a row per attempt; what was not measured is empty."""
        return [
            row + [""] * (len(COLUMNS) - len(row))
            for outcome in self.outcomes
            for row in _rows(outcome)
        ]

    def terminal(self) -> Table:
        """Return what fits a terminal: a row per attempt, and the fused answer."""
        table = Table(title="Full precision against smaller ones")
        for name in (
            "role",
            "target",
            "runs as",
            "metric",
            "FP32",
            "smaller",
            "drop",
            "MB",
            "time",
        ):
            table.add_column(name, no_wrap=name == "target")
        for row in self.rows():
            named = dict(zip(COLUMNS, row, strict=True))
            taken = "FP32" if named["verdict"] == "refused" else named["precision"]
            size = " → ".join(filter(None, (named["MB FP32"], named["MB smaller"])))
            ratio = f"× {named['ratio of times']}" if named["ratio of times"] else ""
            figures = (named[name] for name in ("metric", "FP32", "smaller", "drop (points)"))
            table.add_row(named["role"], named["target"], taken, *figures, size, ratio)
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
            "# Full precision against smaller ones",
            "",
            "![Size, time and accuracy of every role](export.svg)",
            "",
            f"The gate: at most {limits.max_drop:g} points of the task metric, "
            f"{limits.max_class_drop:g} of the recall of any class and {limits.max_ece:g} of the "
            "calibration error (ECE) lost on the dev split, streaming "
            f"equal to offline, and {'faster' if limits.prefer == 'speed' else 'smaller'}. Times "
            "are medians of runs of the model on one thread of this machine in which both "
            "precisions took turns. What is for TensorRT was compared in ONNX Runtime and not "
            "timed: *not run with TensorRT*.",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|" + " --- |" * len(COLUMNS),
            *("| " + " | ".join(row) + " |" for row in self.rows()),
        ]
        if self.fused is not None:
            lines += [
                "",
                "The fused answer, macro-F1 on composed examples of the split "
                f"{self.fused.split}"
                + (", on which the fusion was trained too" if self.fused.split == "dev" else "")
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
    for attempt in outcome.attempts:
        row = [outcome.role, attempt.target, attempt.precision.upper()]
        row.append("taken" if attempt.accepted else "refused")
        yield row + _figures(outcome, attempt, metric)
    if not outcome.attempts:
        row = [outcome.role, "cpu", "FP32", "", str(outcome.n) if outcome.n else "", metric]
        if full := outcome.full:
            ece = "" if full.score.ece is None else f"{full.score.ece:.3f}"
            row += [f"{full.score.metric:.4f}", "", "", ece, "", "", "", f"{full.bytes / 1e6:.2f}"]
            row += ["", _ms(full)]
        yield row


def _figures(outcome: RoleOutcome, attempt: Candidate, metric: str) -> list[str]:
    found, proof = attempt.comparison, attempt.proof
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
    if not outcome.attempts:
        yield f"FP32{': ' + outcome.why if outcome.why else ''}."
    for attempt in outcome.attempts:
        name = f"{attempt.precision.upper()} for {attempt.target}"
        name += ", fine-tuned" if attempt.fine_tuned else ""
        if attempt.accepted:
            yield f"* {name}: taken" + ("." if attempt.comparison else ", **without a gate**.")
        else:
            yield f"* {name}: refused, because {'; '.join(attempt.reasons)}."
        if attempt.left:
            yield f"  Left in float for the gate's sake: {', '.join(attempt.left)}."
        if attempt.comparison and attempt.comparison.class_drops:
            drops = attempt.comparison.class_drops.items()
            lost = ", ".join(f"{name} {drop:+.1f}" for name, drop in drops)
            yield f"  Recall lost by class, in points: {lost}."
    if outcome.attempts and outcome.why:
        yield f"* Nothing for TensorRT: {outcome.why}."
    if facts := outcome.calibration:
        yield ""
        yield (
            f"Ranges by {facts['ranges']} on {facts['samples']} training samples, "
            f"{facts['steps']} runs of the model, seed {facts['seed']}."
        )
    if outcome.costs:
        yield ""
        yield "What quantizing a block alone costs, and what it saves:"
        yield ""
        yield "| divergence of the answers, nats | microseconds saved | block |"
        yield "| --- | --- | --- |"
        for cost in outcome.costs:
            yield f"| {cost.divergence:.2g} | {cost.saved_us:.0f} | {', '.join(cost.block)} |"
