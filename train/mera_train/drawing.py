"""Charts of training and evaluation, as SVG for light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from mera_edge.sinks.palette import COLOURS

COLUMNS, WIDTH, HEIGHT = 3, 320, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 40, 34
_INK, _PALE, _GRID = "#1f2937", "#4b5563", "#e5e7eb"
_LINE, _BAR = COLOURS["sad"], COLOURS["neutral"]

Point = tuple[float, float]


def curves(log: Sequence[Mapping[str, float]]) -> str:
    """Plot every metric of a run's ``log.jsonl`` over its epochs."""
    panels = []
    for name in dict.fromkeys(key for line in log for key in line):
        if name not in ("epoch", "seconds"):
            points = [(line["epoch"], line[name]) for line in log if name in line]
            panels.append(_Panel(name, "epoch", points).line())
    return _page(panels, "Learning curves")


def reliability(tests: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw a reliability diagram for each test.

    Args:
        tests: results of `mera_edge.metrics.classification.classification`, by name.
    """
    panels = []
    for name, test in tests.items():
        points = [(row["confidence"], row["accuracy"]) for row in test["reliability"]]
        weights = [row["n"] / test["n"] for row in test["reliability"]]
        title = f"{name}, ECE {test['ece']:.3f}"
        panel = _Panel(title, "confidence", points, [(0.0, 0.0), (1.0, 1.0)])
        panels.append(panel.bars(weights))
    return _page(panels, "Reliability: how often right, over how sure")


class _Panel:
    """A chart with its axes.

    Args:
        title: heading.
        under: label of the horizontal axis.
        points: the data.
        corners: axis limits; by default those of the points.
    """

    def __init__(
        self, title: str, under: str, points: Sequence[Point], corners: Sequence[Point] = ()
    ) -> None:
        self.title, self.under, self.points = title, under, points
        xs, ys = zip(*(corners or points), strict=True)
        self.xs, self.ys = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys))

    def at(self, point: Point) -> Point:
        """Return the position of a point in the panel."""
        x, y = point
        across = (x - self.xs[0]) / (self.xs[-1] - self.xs[0])
        up = (y - self.ys[0]) / (self.ys[-1] - self.ys[0])
        return (
            _LEFT + (WIDTH - _LEFT - _RIGHT) * across,
            HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * up,
        )

    def line(self) -> str:
        """Draw a line through the points."""
        path = " ".join("{:.1f},{:.1f}".format(*self.at(point)) for point in self.points)
        line = f'<polyline points="{path}" fill="none" stroke="{_LINE}" stroke-width="2"/>'
        return "".join([*self._axes(), line])

    def bars(self, weights: Sequence[float]) -> str:
        """Draw the points as bars, paler with less weight, and the diagonal."""
        parts = list(self._axes())
        for (x, y), weight in zip(self.points, weights, strict=True):
            (left, top), (_, bottom) = self.at((x, y)), self.at((x, 0))
            parts.append(
                f'<rect x="{left - 5:.1f}" y="{top:.1f}" width="10" height="{bottom - top:.1f}" '
                f'rx="2" fill="{_LINE}" opacity="{0.2 + 0.8 * min(1.0, 6 * weight):.2f}"/>'
            )
        ends = " ".join("{:.1f},{:.1f}".format(*self.at((x, x))) for x in (0, 1))
        parts.append(f'<polyline points="{ends}" stroke="{_BAR}" stroke-dasharray="4 3"/>')
        return "".join(parts)

    def _axes(self) -> Iterator[str]:
        yield _text(_LEFT, 24, self.title, _INK, bold=True)
        yield _text(WIDTH - _RIGHT, HEIGHT - 4, self.under, _PALE, "end")
        for x in self.xs:
            yield _text(self.at((x, self.ys[0]))[0], HEIGHT - 18, f"{x:g}", _PALE, "middle")
        for y in self.ys:
            height = self.at((self.xs[0], y))[1]
            yield (
                f'<line x1="{_LEFT}" y1="{height:.1f}" x2="{WIDTH - _RIGHT}" y2="{height:.1f}" '
                f'stroke="{_GRID}"/>'
            )
            yield _text(_LEFT - 6, height + 4, f"{y:g}", _PALE, "end")


def _ticks(low: float, high: float) -> list[float]:
    """Return four to seven round tick values that enclose ``low`` to ``high``."""
    span = max(high - low, 1e-6 * max(1.0, abs(high)))
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 9) for number in range(first, max(last, first + 1) + 1)]


def _text(
    x: float, y: float, text: str, colour: str, anchor: str = "start", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"{weight}>'
        f"{escape(text)}</text>"
    )


def _page(panels: Sequence[str], title: str) -> str:
    columns = min(COLUMNS, max(1, len(panels)))
    rows = math.ceil(len(panels) / columns)
    width, height = columns * WIDTH, rows * HEIGHT + 8
    placed = (
        f'<g transform="translate({number % columns * WIDTH} {number // columns * HEIGHT})">'
        f"{panel}</g>"
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>{"".join(placed)}</svg>\n'
    )
