"""The timeline as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby

import numpy as np

from mera_edge.events import UNCLEAR
from mera_edge.labels import EMOTIONS, MODALITIES, MODALITY_NAMES, ModalityName
from mera_edge.sinks.palette import COLOURS
from mera_edge.sinks.timeline import Slot, Timeline

WIDTH, LEFT, RIGHT = 1000, 92, 984
"""Width of the drawing; start of the time axis, after the row labels; its end."""
ROW, BAND, FUSED, VALENCE, AXIS = 46, 30, 150, 64, 28


def draw(timeline: Timeline) -> str:
    """Return the SVG: moments, fused answer as stacked areas, modalities, valence, time axis."""
    height = FUSED + ROW * (1 + len(MODALITIES)) + VALENCE + AXIS + 30
    scale = (RIGHT - LEFT) / max(timeline.duration_s, 1e-6)

    def x(moment_s: float) -> float:
        return LEFT + moment_s * scale

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Timeline of moment, fused emotion, every modality and valence">',
        '<defs><pattern id="gap" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" class="gap"/>'
        '<line x1="0" y1="0" x2="0" y2="7" class="hatch"/></pattern></defs>',
    ]
    y = 6.0
    parts += [_name("Moment", y + BAND / 2), *_moments(timeline.slots, x, y)]
    y += ROW
    parts += [_name("Fused", y + FUSED / 2), *_stack(timeline.slots, x, y)]
    y += FUSED + 12
    for name in MODALITIES:
        parts += [_name(MODALITY_NAMES[name].capitalize(), y + BAND / 2)]
        parts += _band(timeline.slots, name, x, y)
        y += ROW
    parts += [_name("Valence", y + VALENCE / 2), *_valence(timeline.slots, x, y)]
    y += VALENCE
    parts += _axis(timeline.duration_s, x, y)
    return "".join([*parts, "</svg>"])


def clock(seconds: float) -> str:
    """Format a time as ``1:05``, or ``1:00:05`` from one hour on."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _name(text: str, y: float) -> str:
    return f'<text x="{LEFT - 14}" y="{y:.1f}" class="name">{text}</text>'


def _runs(slots: list[Slot], known: Callable[[Slot], bool]) -> Iterator[tuple[bool, list[Slot]]]:
    for is_known, run in groupby(slots, known):
        yield is_known, list(run)


def _stack(slots: list[Slot], x: Callable[[float], float], y: float) -> Iterator[str]:
    for known, run in _runs(slots, lambda slot: slot.fused.count > 0):
        if not known:
            yield _gap(run, "nobody seen or heard", x, y, FUSED)
            continue
        shares = np.array([slot.fused.probabilities for slot in run])
        edges = np.concatenate([np.zeros((len(run), 1)), shares.cumsum(axis=1)], axis=1)
        edges /= edges[:, -1:]
        left = [x(slot.begins_s) for slot in run]
        right = [x(slot.ends_s) for slot in run]
        for index, emotion in enumerate(EMOTIONS):
            top = y + FUSED * (1 - edges[:, index + 1])
            bottom = y + FUSED * (1 - edges[:, index])
            # A step function: an answer holds until the next one.
            sides = list(zip(left, right, top, bottom, strict=True))
            there = [f"{a:.1f},{t:.1f} {b:.1f},{t:.1f}" for a, b, t, _ in sides]
            back = [f"{b:.1f},{t:.1f} {a:.1f},{t:.1f}" for a, b, _, t in reversed(sides)]
            points = " ".join([*there, *back])
            colour = COLOURS[emotion]
            yield f'<polygon points="{points}" fill="{colour}">{_title(emotion)}</polygon>'


def _moments(slots: list[Slot], x: Callable[[float], float], y: float) -> Iterator[str]:
    for label, group in groupby(slots, lambda slot: slot.moment):
        run = list(group)
        if label is None:
            yield _gap(run, "nobody seen or heard", x, y, BAND)
        elif label == UNCLEAR:
            yield _gap(run, label, x, y, BAND)
        else:
            yield from _block(run, label, 1.0, _title(f"{label}, {_span(run)}"), x, y)


def _band(
    slots: list[Slot], name: ModalityName, x: Callable[[float], float], y: float
) -> Iterator[str]:
    def state(slot: Slot) -> tuple[bool, str]:
        probabilities = slot.modalities[name].probabilities
        if probabilities is None:
            return False, slot.modalities[name].reason
        return True, EMOTIONS[int(probabilities.argmax())]

    for (known, what), group in groupby(slots, state):
        run = list(group)
        if not known:
            yield _gap(run, what, x, y, BAND)
            continue
        best = [p.max() for slot in run if (p := slot.modalities[name].probabilities) is not None]
        confidence = float(np.mean(best))
        title = _title(f"{what}, {confidence:.0%}, {_span(run)}")
        yield from _block(run, what, 0.35 + 0.65 * confidence, title, x, y)


def _block(
    run: list[Slot], what: str, opacity: float, title: str, x: Callable[[float], float], y: float
) -> Iterator[str]:
    left, width = x(run[0].begins_s), x(run[-1].ends_s) - x(run[0].begins_s)
    yield (
        f'<rect x="{left:.1f}" y="{y}" width="{max(width - 1, 0.5):.1f}" height="{BAND}" '
        f'rx="3" fill="{COLOURS[what]}" fill-opacity="{opacity:.2f}">{title}</rect>'
    )
    if width > 58:
        yield f'<text x="{left + 8:.1f}" y="{y + BAND / 2}" class="inside">{what}</text>'


def _gap(run: list[Slot], reason: str, x: Callable[[float], float], y: float, height: float) -> str:
    left, width = x(run[0].begins_s), x(run[-1].ends_s) - x(run[0].begins_s)
    text = escape(reason)
    label = ""
    if width > 7.2 * len(reason) + 16:
        label = f'<text x="{left + 8:.1f}" y="{y + height / 2}" class="reason">{text}</text>'
    return (
        f'<rect x="{left:.1f}" y="{y}" width="{max(width - 1, 0.5):.1f}" height="{height}" rx="3" '
        f'fill="url(#gap)">{_title(f"{reason}, {_span(run)}")}</rect>{label}'
    )


def _valence(slots: list[Slot], x: Callable[[float], float], y: float) -> Iterator[str]:
    middle, reach = y + VALENCE / 2, VALENCE / 2 - 8
    yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{middle}" y2="{middle}" class="zero"/>'
    yield f'<text x="{RIGHT}" y="{y + 10}" class="end">pleasant</text>'
    yield f'<text x="{RIGHT}" y="{y + VALENCE - 4}" class="end">unpleasant</text>'
    for known, run in _runs(slots, lambda slot: slot.fused.count > 0):
        if known:
            points = " ".join(
                f"{x((slot.begins_s + slot.ends_s) / 2):.1f},"
                f"{middle - reach * slot.valence / slot.fused.count:.1f}"
                for slot in run
            )
            yield f'<polyline points="{points}" class="valence"/>'


def _axis(duration_s: float, x: Callable[[float], float], y: float) -> Iterator[str]:
    step = next(
        (s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if duration_s / s <= 12), 3600
    )
    for tick in range(0, int(duration_s) + 1, step):
        at = x(tick)
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y + 2}" y2="{y + 8}" class="zero"/>'
        yield f'<text x="{at:.1f}" y="{y + 20}" class="tick">{clock(tick)}</text>'


def _span(run: list[Slot]) -> str:
    return f"{clock(run[0].begins_s)} to {clock(run[-1].ends_s)}"


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"
