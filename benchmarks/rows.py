"""The rows of the table that `live.py` prints: what is measured, its goal, and of which figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CLIPS = ("sample", "talk_1", "talk_2")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        what: is measured.
        goal: as it is shown.
        limit: the same as a number.
        names: of the figures, each shown; one with `` / `` is the first divided by the second.
        digits: after the point.
        least: whether the goal is a minimum.
    """

    what: str
    goal: str
    limit: float
    names: tuple[str, ...]
    digits: int = 0
    least: bool = False

    def shown(self, values: Mapping[str, float]) -> str | None:
        """Return the values, those that miss the goal bold; nothing where one is unknown."""
        found = [_value(name, values) for name in self.names]
        if None in found:
            return None
        cells = [f"{value:.{self.digits}f}" for value in found if value is not None]
        missed = [(float(cell) < self.limit) if self.least else float(cell) > self.limit
                  for cell in cells]  # fmt: skip
        return ", ".join(f"**{c}**" if m else c for c, m in zip(cells, missed, strict=True))

    def spread(self, runs: Sequence[Mapping[str, float]]) -> str:
        """Return the least and the most of each figure over runs."""
        said = []
        for name in self.names:
            found = [value for run in runs if (value := _value(name, run)) is not None]
            least, most = (f"{value:.{self.digits}f}" for value in (min(found), max(found)))
            said.append(least if least == most else f"{least} to {most}")
        return ", ".join(said)


def _value(name: str, values: Mapping[str, float]) -> float | None:
    one, _, other = name.partition(" / ")
    if one not in values or (other and other not in values):
        return None
    return values[one] / values[other] if other else values[one]


def _clips(kind: str, figure: str) -> tuple[str, ...]:
    return tuple(f"{clip}, {kind}, {figure}" for clip in CLIPS)


def _pipeline(name: str, kind: str) -> list[Row]:
    return [
        Row(f"three clips, {name}: real-time factor", "0.10", 0.10, _clips(kind, "rtf"), 3),
        Row("compute per tick, p95, ms", "30", 30, _clips(kind, "p95"), 1),
        Row("longest tick, ms", "60", 60, _clips(kind, "max"), 1),
    ]


def _words(name: str, kind: str) -> list[Row]:
    return [
        Row(f"{name}, {p}, ms: streaming, with the final pass", goal, float(goal),
            (f"words, one, {p}{kind}", f"words, both, {p}{kind}"))
        for p, goal in (("p50", "150"), ("p95", "400"))
    ]  # fmt: skip


ROWS = [
    *_pipeline("as fast as it goes", "one, fast"),
    *_pipeline("in real time", "one, live"),
    *_pipeline("in real time with the final pass", "both, live"),
    Row("`predict` from its start to the first event, s", "1.0", 1.0,
        tuple(f"{clip}, first event" for clip in CLIPS), 2),
    Row("`import mera_edge`, ms", "50", 50, ("import",), 1),
    Row("memory of a run with a network camera, all processes, PSS, MB", "220", 220,
        ("one room, pss",)),
    Row("the same with the final pass", "320", 320, ("one room, both, pss",)),
    Row("the same, four rooms, relative to one (MB)", "1.5", 1.5,
        ("four rooms, pss / one room, pss",), 2),
    Row("empty room, camera and capture included, % of a core", "2", 2, ("empty room, cpu",), 1),
    Row("one room with somebody who speaks, the same", "", 1e9, ("one room, cpu",), 1),
    *_words("words final after the detector says that speech is over", " after the detector"),
    *_words("words final after the last sound of speech", ""),
    Row("final recognizer: time over that of sherpa-onnx on the same files", "1.0", 1.0,
        ("final, ours / final, sherpa-onnx",), 2),
    Row("its text is equal, % of 24 utterances", "100", 100, ("final, equal",), least=True),
    Row("streaming recognizer, greedy: time over that of sherpa-onnx on the same ONNX", "1.0", 1.0,
        ("streaming, ours / streaming, sherpa-onnx",), 2),
    Row("its text is equal, % of 24 utterances", "100", 100, ("streaming, equal",), least=True),
    Row("face detector: time over YuNet's by OpenCV, 320 x 256, one thread", "0.6", 0.6,
        ("detector, ours / detector, YuNet",), 2),
    Row("the same, over YuNet's graph in ONNX Runtime (320 x 320, no boxes drawn from it)", "0.6",
        0.6, ("detector, ours / detector, YuNet in ONNX Runtime",), 2),
    Row("face encoder: time over that of a MobileFaceNet (112 x 112, random weights, FP32)", "1.0",
        1.0, ("encoder, ours / encoder, MobileFaceNet",), 2),
    Row("two competitors on the core: compute per tick, p95, ms", "80", 80, ("contended, p95",)),
    Row("full service after they left, s", "5", 5, ("recovery",), 1),
    Row("ticks in which the face was read, %", "50", 50, ("contended, face read",), least=True),
]  # fmt: skip
"""What the issue of the budget asks for, in its order."""
