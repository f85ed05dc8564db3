"""Charts of a benchmark as SVG: distributions on a logarithmic axis, and shares of the stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

import numpy as np

from mera_edge.sinks.palette import COLOURS

Scale = Callable[[float], float]

WIDTH, LEFT, RIGHT = 1000, 20, 984
HIGH, AXIS, BAR = 130, 28, 34
BINS = 64
LABEL = 46
"""Width of a percentile's label."""

STAGES = dict(
    zip(
        ("decode", "asr", "fusion", "face", "text", "voice", "log-mel", "vad", "needs_frame"),
        (*COLOURS.values(), "#b9c0cb", "#5b6472"),
        strict=True,
    )
)
"""One colour per stage."""


def distribution(values: Sequence[float], ends_ms: float, limit_ms: float | None) -> str:
    """Draw a histogram of times.

    Args:
        values: in ms.
        ends_ms: end of the axis, so that several charts can be compared.
        limit_ms: drawn as a line, for example the budget.
    """
    last = np.log10(max(ends_ms, 10.0))

    def x(value: float) -> float:
        return float(LEFT + (RIGHT - LEFT) * min(np.log10(max(value, 1.0)) / last, 1.0))

    edges = np.logspace(0, last, BINS + 1)
    counts, _ = np.histogram(np.clip(values, 1.0, edges[-1]), edges)
    base = 30 + HIGH
    parts = [f'<svg viewBox="0 0 {WIDTH} {base + AXIS}" role="img" aria-label="Distribution">']
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            high = HIGH * count / counts.max()
            title = f"{left:.3g} to {right:.3g} ms: {count} of {len(values)}"
            parts.append(
                f'<rect x="{x(left):.1f}" y="{base - high:.1f}" '
                f'width="{max(x(right) - x(left) - 1, 1):.1f}" height="{high:.1f}" rx="2" '
                f'fill="{COLOURS["sad"]}"><title>{title}</title></rect>'
            )
    parts += _axis(x, ends_ms, base)
    parts += _marks(values, x, base)
    if limit_ms is not None and limit_ms <= ends_ms:
        at = x(limit_ms)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="14" y2="{base}" stroke="{COLOURS["angry"]}" '
            'stroke-width="2" stroke-dasharray="5 4"/>'
            f'<text x="{at - 6:.1f}" y="22" class="end">budget</text>'
        )
    return "".join([*parts, "</svg>"])


def _marks(values: Sequence[float], x: Scale, base: int) -> Iterator[str]:
    free = -np.inf
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        at = x(float(np.percentile(values, share)))
        yield (
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="18" y2="{base}" class="valence" '
            'style="stroke-width:1.2"/>'
        )
        # Of overlapping labels only the first is drawn.
        if at >= free:
            yield f'<text x="{at:.1f}" y="8" class="tick">{name}</text>'
            free = at + LABEL


def _axis(x: Scale, ends_ms: float, base: int) -> Iterator[str]:
    yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{base}" y2="{base}" class="zero"/>'
    for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000):
        if tick <= ends_ms:
            at = f"{x(tick):.1f}"
            yield f'<line x1="{at}" x2="{at}" y1="{base}" y2="{base + 6}" class="zero"/>'
            yield f'<text x="{at}" y="{base + 18}" class="tick">{tick} ms</text>'


def shares(stages: Mapping[str, float]) -> str:
    """Draw the stages' shares of the time, from 0 to 1, as a stacked bar, the largest first."""
    parts = [f'<svg viewBox="0 0 {WIDTH} {BAR}" role="img" aria-label="Shares of the stages">']
    left = float(LEFT)
    for name, share in sorted(stages.items(), key=lambda item: -item[1]):
        width = (RIGHT - LEFT) * share
        parts.append(
            f'<rect x="{left:.1f}" y="2" width="{max(width - 1, 0.5):.1f}" height="{BAR - 4}" '
            f'rx="3" fill="{STAGES[name]}"><title>{escape(name)}: {share:.1%}</title></rect>'
        )
        if width > 9 * len(name) + 50:
            parts.append(
                f'<text x="{left + 8:.1f}" y="{BAR / 2}" class="inside">{name} {share:.0%}</text>'
            )
        left += width
    return "".join([*parts, "</svg>"])
