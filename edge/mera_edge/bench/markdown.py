"""The result of a benchmark as a table in Markdown, with the project's goals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mera_edge import __version__
from mera_edge.bench.bench import Result
from mera_edge.errors import InputError
from mera_edge.host.board import board

_ROWS: Sequence[tuple[str, str, Callable[[dict[str, Any]], float | None], int]] = (
    ("real-time factor", "0.10", lambda f: f["real_time_factor"], 3),
    ("compute per tick, p50, ms", "", lambda f: f["compute_ms"]["p50"], 1),
    ("compute per tick, p95, ms", "30", lambda f: f["compute_ms"]["p95"], 1),
    ("longest tick, ms", "60", lambda f: f["compute_ms"]["max"], 1),
    ("age of the answer, p50, ms", "300", lambda f: (f["staleness_ms"] or {}).get("p50"), 0),
    ("start to first event, s", "1.0", lambda f: f["start_up_s"], 2),
    ("PSS of this process, MB", "220", lambda f: f["pss_mb"], 0),
    ("processor time, % of a core", "", lambda f: f["cpu_percent"], 1),
    ("waited for others' work, % of the time", "", lambda f: f["waited_percent"], 1),
    ("energy per answer, whole board, mJ", "", lambda f: f["energy_mj_per_event"], 0),
    ("energy per hour of input, whole board, J", "", lambda f: f["energy_j_per_hour"], 0),
)


def write_markdown(path: Path, results: Sequence[Result]) -> None:
    """Write the table and the conditions of the measurement. Values that miss their goal are bold.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_text(markdown(results), encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror})"
        raise InputError(message, "choose another file") from error


def markdown(results: Sequence[Result]) -> str:
    """Return the table."""
    shown = results[0].facts
    names = [Path(result.facts["bundle"]).name for result in results]
    lines = [
        f"# {Path(shown['clip']).name}\n",
        f"| measure | {' | '.join(names)} | goal |",
        f"| --- |{' --- |' * len(names)} --- |",
    ]
    for what, goal, figure, digits in _ROWS:
        values = [figure(result.facts) for result in results]
        if any(value is not None for value in values):
            cells = " | ".join(_cell(value, goal, digits) for value in values)
            lines.append(f"| {what} | {cells} | {goal} |")
    where, machine = board(), shown["machine"]
    facts = (where["model"], where["processor"], where["system"])
    heat = max(machine["temperatures_c"].values(), default=None)
    how = "in real time" if shown["realtime"] else "as fast as it goes"
    lines += [
        f"\n{how.capitalize()}, {shown['passes']} passes, {shown['ticks_per_second']:g} ticks a "
        f"second. {', '.join(str(fact) for fact in facts if fact)}; {machine['cores']} cores, "
        f"{where['memory_mb']} MB, Python {machine['python']}, "
        f"ONNX Runtime {machine['onnxruntime']}, mera-edge {__version__}."
        + ("" if heat is None else f" Hottest sensor: {heat:.0f} °C.")
        + ("" if machine["energy_from"] else " The board tells no energy."),
        f"\n```bash\nmera-edge bench {Path(shown['clip']).name}"
        f"{' --realtime' if shown['realtime'] else ''} --report PAGE.md\n```\n",
    ]
    return "\n".join(lines)


def _cell(value: float | None, goal: str, digits: int) -> str:
    if value is None:
        return "–"
    cell = f"{value:.{digits}f}"
    return f"**{cell}**" if goal and float(cell) > float(goal) else cell
