"""A chart of the missing-modality grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mera_edge.sinks.palette import COLOURS
from mera_train.msa.grid import RATES

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

WIDTH, HEIGHT, LEFT, TOP, ROW = 1280, 560, 250, 90, 52
INK, PALE = (60, 50, 45), (225, 225, 225)


def draw(
    path: Path, bars: Mapping[str, float], curves: Mapping[str, Sequence[float]], title: str
) -> None:
    """Write a PNG with a bar per subset of modalities, and curves over the share of dropped frames.

    Args:
        path: a ``.png`` file.
        bars: accuracy in [0, 1] by subset, the full set first.
        curves: accuracy in [0, 1] at each of `RATES`, by name.
        title: heading.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    _write(picture, title, (30, 40), 0.75)
    _bars(picture, bars)
    _curves(picture, curves)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def _bars(picture: Picture, bars: Mapping[str, float]) -> None:
    full, chance = 330, LEFT + 165
    bottom = TOP + ROW * len(bars)
    _write(picture, "modalities kept", (30, TOP - 14), 0.5)
    for row, (name, value) in enumerate(bars.items()):
        y = TOP + ROW * row
        _write(picture, name, (30, y + 26), 0.5)
        colour = _colour("sad" if row else "disgust")
        cv2.rectangle(picture, (LEFT, y + 6), (LEFT + round(full * value), y + 36), colour, -1)
        _write(picture, f"{100 * value:.1f}", (LEFT + round(full * value) + 8, y + 27), 0.5)
    cv2.line(picture, (chance, TOP), (chance, bottom), INK, 1, cv2.LINE_AA)
    _write(picture, "50 %", (chance - 20, bottom + 20), 0.45)


def _curves(picture: Picture, curves: Mapping[str, Sequence[float]]) -> None:
    left, right, top, bottom = 760, WIDTH - 40, TOP, TOP + 320
    low, high = 0.35, 0.9

    def place(rate: float, value: float) -> tuple[int, int]:
        x = left + (right - left) * rate
        return round(x), round(bottom - (bottom - top) * (value - low) / (high - low))

    _write(picture, "accuracy, frames dropped at random", (left, TOP - 14), 0.5)
    for tenth in range(4, 10):
        here = place(0, tenth / 10)
        cv2.line(picture, here, place(1, tenth / 10), PALE, 1, cv2.LINE_AA)
        _write(picture, f"{10 * tenth} %", (here[0] - 48, here[1] + 5), 0.45)
    for rate in RATES[::2]:
        x, _ = place(rate, low)
        _write(picture, f"{rate:.0%}", (x - 16, bottom + 22), 0.45)
    for number, (name, values) in enumerate(curves.items()):
        colour = _colour(("disgust", "sad", "angry", "fear")[number % 4])
        points = np.array([place(*pair) for pair in zip(RATES, values, strict=True)], np.int32)
        cv2.polylines(picture, [points], False, colour, 2, cv2.LINE_AA)
        y = bottom + 54 + 24 * number
        cv2.line(picture, (left, y - 5), (left + 30, y - 5), colour, 3, cv2.LINE_AA)
        _write(picture, name, (left + 40, y), 0.5)


def _write(picture: Picture, text: str, at: tuple[int, int], size: float) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)


def _colour(name: str) -> Colour:
    """Return the colour in OpenCV's order (BGR)."""
    red, green, blue = bytes.fromhex(COLOURS[name][1:])
    return blue, green, red
