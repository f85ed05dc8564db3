"""The result of a benchmark as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mera_edge import __version__
from mera_edge.bench.bench import Result
from mera_edge.bench.drawing import STAGES, distribution, shares
from mera_edge.bench.measure import WARM_UP_S, Tick
from mera_edge.sinks.page import facts, page, write

_PERCENTILES = ("p50", "p95", "p99", "max")


def report(path: Path, results: Sequence[Result]) -> None:
    """Write the page.

    Raises:
        InputError: it cannot be written.
    """
    shown = results[0].facts
    how = "in real time" if shown["realtime"] else "as fast as the machine goes"
    cores = f"{shown['machine']['cores']} core" + "s" * (shown["machine"]["cores"] > 1)
    body = "".join(
        [
            *(f"<section><h2>{_name(r)}</h2>{_figures(r.facts)}</section>" for r in results),
            _distributions("Compute time per tick", results, lambda tick: tick.compute_ms, True),
            _distributions("Age of the answer", results, lambda tick: tick.staleness_ms, False),
            *(f"<section><h2>Stages, {_name(r)}</h2>{_stages(r.facts)}</section>" for r in results),
        ]
    )
    footer = (
        f"{escape(Path(shown['clip']).name)}, {how}, {shown['passes']} passes, "
        f"{shown['ticks_per_second']:g} ticks a second; the first {WARM_UP_S:g} s are warm-up and "
        f"not counted. {escape(shown['machine']['system'])}, {cores}, "
        f"Python {shown['machine']['python']}, ONNX Runtime {shown['machine']['onnxruntime']}. "
        f"mera-edge {__version__}."
    )
    write(path, page(f"Bench: {Path(shown['clip']).name}", body, footer))


def _name(result: Result) -> str:
    return escape(f"{result.facts['bundle']} ({', '.join(sorted(set(_precisions(result))))})")


def _precisions(result: Result) -> Sequence[str]:
    return list(result.facts["precision"].values())


def _figures(shown: dict[str, Any]) -> str:
    compute, stale = shown["compute_ms"], shown["staleness_ms"]
    cells = {
        "compute, median": f"{compute['p50']:.1f} ms",
        f"compute, p95 (budget {shown['budget_ms']} ms)": f"{compute['p95']:.1f} ms",
        f"slowest ({shown['late']} late, {shown['dropped']} dropped)": f"{compute['max']:.0f} ms",
        "age of the answer, median": "–" if stale is None else f"{stale['p50']:.0f} ms",
        "real-time factor": f"{shown['real_time_factor']:.3f}",
        "from start to first event": f"{shown['start_up_s']:.2f} s",
        "of the time waiting for others' work": f"{shown['waited_percent']:.1f} %",
        f"memory, PSS (RSS {shown['rss_mb']:.0f} MB)": f"{shown['pss_mb']:.0f} MB",
    }
    if shown["energy_mj_per_event"] is not None:
        cells["energy per decision, whole board"] = f"{shown['energy_mj_per_event']:.0f} mJ"
        cells["energy per hour of input, whole board"] = f"{shown['energy_j_per_hour']:,} J"
    if heat := shown["machine"]["temperatures_c"]:
        cells[f"hottest sensor ({escape(max(heat, key=heat.__getitem__))})"] = (
            f"{max(heat.values()):.0f} °C"
        )
    if shown["skipped"]:
        left_out = ", ".join(f"{escape(name)} {n}" for name, n in shown["skipped"].items())
        cells["ticks in which something was left out"] = left_out
    return facts(cells)


def _distributions(
    title: str,
    results: Sequence[Result],
    figure: Callable[[Tick], float | None],
    budget: bool,
) -> str:
    drawn = [[v for tick in r.measured.ticks if (v := figure(tick)) is not None] for r in results]
    limit = float(results[0].facts["budget_ms"]) if budget else 0.0
    ends_ms = 1.15 * max([limit, 10.0, *(value for values in drawn for value in values)])
    rows = "".join(
        f"<figure><figcaption class=quiet>{_name(result)}</figcaption>"
        f"{distribution(values, ends_ms, limit or None)}</figure>"
        for result, values in zip(results, drawn, strict=True)
        if values
    )
    return f"<section><h2>{title}</h2>{rows or '<p class=quiet>There was no answer.</p>'}</section>"


def _stages(shown: dict[str, Any]) -> str:
    stages = shown["stages"]
    rows = "".join(
        f'<tr><th scope=row><i style="color:{STAGES[name]}">■</i> {name}</th>'
        f"<td>{stage['share']:.1%}</td><td>{stage['ticks']}</td>"
        + "".join(f"<td>{stage['ms'][p]:.2f}</td>" for p in _PERCENTILES)
        + "</tr>"
        for name, stage in sorted(stages.items(), key=lambda item: -item[1]["share"])
    )
    heads = ("Stage", "share of time", "ticks", *(f"{p}, ms" for p in _PERCENTILES))
    head = "".join(f"<th scope=col>{name}</th>" for name in heads)
    return (
        f"<figure>{shares({name: stage['share'] for name, stage in stages.items()})}</figure>"
        f"<div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
