"""The report as a bar chart of both precisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from mera_calibration.precision_trial import RoleOutcome
from mera_calibration.quality_gate import Measurement
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS

WIDTH, LEFT, ROW, TOP = 1000, 92, 62, 64
PANELS = ("size, MB", "time of a step, ms", "task metric")
_FULL, _SMALL = "#8b95a5", "#2f7fc1"
_PANEL = (WIDTH - LEFT - 24) / len(PANELS)
_BAR = _PANEL - 78


def draw(outcomes: Sequence[RoleOutcome]) -> str:
    """Return an SVG with one row per compared role and one panel per figure."""
    compared = [outcome for outcome in outcomes if outcome.full is not None]
    height = TOP + ROW * len(compared) + 12
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-label="Size, time and task metric of every role in both precisions" '
            'font-family="system-ui, sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
            *_legend(),
            *(part for row, outcome in enumerate(compared) for part in _row(row, outcome)),
            "</svg>",
        ]
    )


def _legend() -> Iterator[str]:
    for column, name in enumerate(PANELS):
        yield _text(LEFT + column * _PANEL, 46, name, "#1f2937", bold=True)
    for at, colour, name in ((LEFT, _FULL, "FP32"), (LEFT + 84, _SMALL, "in the bundle")):
        yield f'<rect x="{at}" y="12" width="12" height="12" rx="3" fill="{colour}"/>'
        yield _text(at + 18, 23, name, "#4b5563")


def _row(row: int, outcome: RoleOutcome) -> Iterator[str]:
    y = TOP + row * ROW
    yield _text(16, y + 27, outcome.role, "#1f2937", bold=True)
    accepted = outcome.accepted("cpu")
    full = outcome.full
    small: Measurement | None = None
    if accepted is not None and accepted.comparison is not None:
        full, small = accepted.comparison.full, accepted.comparison.small
    if full is None:
        return
    for column, (name, of) in enumerate(_values(full, small, ROLE_EVALUATORS[outcome.role].metric)):
        x = LEFT + column * _PANEL
        largest = max(value for value in of if value is not None)
        for line, (value, colour) in enumerate(zip(of, (_FULL, _SMALL), strict=True)):
            if value is None:
                continue
            width = max(2.0, _BAR * value / max(largest, 1e-9))
            top = y + 4 + 21 * line
            yield (
                f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="17" rx="3" '
                f'fill="{colour}"><title>{escape(name)}</title></rect>'
            )
            label = f"{value:.4f}" if column == 2 else f"{value:.2f}"
            yield _text(x + width + 6, top + 13, label, "#1f2937")
        if column == 2:
            yield _text(x, y + 57, name, "#6b7280", size=11)


def _values(
    full: Measurement, small: Measurement | None, metric: str
) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    yield "MB", (full.bytes / 1e6, None if small is None else small.bytes / 1e6)
    yield "ms", (full.median_ms or 0.0, None if small is None else small.median_ms)
    yield metric, (full.score.metric, None if small is None else small.score.metric)


def _text(x: float, y: float, text: str, colour: str, size: int = 13, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}"{weight}>'
        f"{escape(text)}</text>"
    )
