"""The tables that `live.py` prints: what is measured, its goal, and of which figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mera_train.figures import markdown

CLIPS = ("sample", "talk_1", "talk_2")


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        what: is measured.
        goal: as it is shown.
        limit: the same as a number.
        names: of the figures, one in each column; one with `` / `` is the first divided by the
            second.
        digits: after the point.
        least: whether the goal is a minimum.
    """

    what: str
    goal: str
    limit: float
    names: tuple[str, ...]
    digits: int = 0
    least: bool = False

    def cells(self, values: Mapping[str, float]) -> list[str]:
        """Return the values, those that miss the goal bold; an unknown one is empty."""
        return [self._shown(_value(name, values)) for name in self.names]

    def _shown(self, value: float | None) -> str:
        if value is None:
            return ""
        cell = f"{value:.{self.digits}f}"
        missed = float(cell) < self.limit if self.least else float(cell) > self.limit
        return f"**{cell}**" if missed else cell


@dataclass(frozen=True)
class Table:
    """Rows with the same columns.

    Attributes:
        what: the head of the first column.
        columns: the heads of those with figures.
        rows: are left out where none of their figures is known.
    """

    what: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def shown(self, values: Mapping[str, float]) -> str:
        """Return it as Markdown; nothing where no row is left."""
        lines = [[row.what, row.goal, *row.cells(values)] for row in self.rows]
        known = [line for line in lines if any(line[2:])]
        return markdown([self.what, "goal", *self.columns], known) if known else ""


def _value(name: str, values: Mapping[str, float]) -> float | None:
    one, _, other = name.partition(" / ")
    if one not in values or (other and other not in values):
        return None
    return values[one] / values[other] if other else values[one]


def _clips(kind: str, figure: str) -> tuple[str, ...]:
    return tuple(f"{clip}, {kind}, {figure}" for clip in CLIPS)


def _pipeline(name: str, kind: str) -> tuple[Row, ...]:
    return (
        Row(f"{name}: real-time factor", "0.10", 0.10, _clips(kind, "rtf"), 3),
        Row(f"{name}: compute per tick, p95, ms", "30", 30, _clips(kind, "p95"), 1),
        Row(f"{name}: longest tick, ms", "60", 60, _clips(kind, "max"), 1),
    )


def _words(name: str, kind: str) -> tuple[Row, ...]:
    return tuple(
        Row(f"{name}, {p}, ms", goal, float(goal),
            (f"words, one, {p}{kind}", f"words, both, {p}{kind}"))
        for p, goal in (("p50", "150"), ("p95", "400"))
    )  # fmt: skip


TABLES = (
    Table("measure", CLIPS, (
        *_pipeline("as fast as it goes", "one, fast"),
        *_pipeline("in real time", "one, live"),
        *_pipeline("in real time with the final pass", "both, live"),
        Row("`predict` from its start to the first event, s", "1.0", 1.0,
            tuple(f"{clip}, first event" for clip in CLIPS), 2),
    )),
    Table("measure, eight utterances", ("streaming", "with the final pass"), (
        *_words("words final after the detector says that speech is over", " after the detector"),
        *_words("words final after the last sound of speech", ""),
    )),
    Table("recognizer, beside sherpa-onnx", ("final", "streaming, greedy, the same ONNX"), (
        Row("time over that of sherpa-onnx on the same files", "1.0", 1.0,
            ("final, ours / final, sherpa-onnx", "streaming, ours / streaming, sherpa-onnx"), 2),
        Row("its text is equal, % of 24 utterances", "100", 100,
            ("final, equal", "streaming, equal"), least=True),
    )),
    Table("what", ("value",), (
        Row("`import mera_edge`, ms", "50", 50, ("import",), 1),
        Row("memory of a run with a network camera, all processes, PSS, MB", "220", 220,
            ("one room, pss",)),
        Row("the same with the final pass", "320", 320, ("one room, both, pss",)),
        Row("the same, four rooms, relative to one (MB)", "1.5", 1.5,
            ("four rooms, pss / one room, pss",), 2),
        Row("empty room, camera and capture included, % of a core", "2", 2,
            ("empty room, cpu",), 1),
        Row("one room with somebody who speaks, the same", "", 1e9, ("one room, cpu",), 1),
        Row("face detector: time over YuNet's by OpenCV, 320 x 256, one thread", "0.6", 0.6,
            ("detector, ours / detector, YuNet",), 2),
        Row("the same, over YuNet's graph in ONNX Runtime (320 x 320, no boxes drawn from it)",
            "0.6", 0.6, ("detector, ours / detector, YuNet in ONNX Runtime",), 2),
        Row("face encoder: time over that of a MobileFaceNet (112 x 112, random weights, FP32)",
            "1.0", 1.0, ("encoder, ours / encoder, MobileFaceNet",), 2),
        Row("two competitors on the core: compute per tick, p95, ms", "80", 80,
            ("contended, p95",)),
        Row("full service after they left, s", "5", 5, ("recovery",), 1),
        Row("ticks in which the face was read, %", "50", 50, ("contended, face read",),
            least=True),
    )),
)  # fmt: skip
"""What the issue of the budget asks for."""
