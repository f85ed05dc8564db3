"""`mera-edge bench`: what the pipeline costs on this machine, and how old its answers are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mera_edge.cli import options
from mera_edge.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from rich.table import Table


def bench(
    clip: Annotated[
        Path | None, typer.Argument(help="Video or audio file. Default: the bundled sample.")
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            help="Bundle to measure; repeat to compare, interleaved. Default: the "
            "one in the package."
        ),
    ] = None,
    realtime: Annotated[
        bool,
        typer.Option(
            "--realtime", help="Play the clip in real time, with the latency budget of `run`."
        ),
    ] = False,
    passes: Annotated[
        int | None, typer.Option(min=1, help="Passes over the clip. Default: 3; 1 in real time.")
    ] = None,
    budget_ms: Annotated[
        int, typer.Option(min=10, help="Compute budget per answer, in milliseconds.")
    ] = 100,
    json: options.Json = False,
    report: options.Report = None,
    share: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML page with the board and its figures, and a JSON file "
            "beside it, to share."
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Compare two outputs of `bench --json`.")
    ] = None,
    soak: Annotated[
        float | None,
        typer.Option(
            min=0.002, help="Replay this many hours of input; exit code 1 if memory grows."
        ),
    ] = None,
    choose_providers: Annotated[
        bool,
        typer.Option(
            "--choose-providers", help="Benchmark every model on every execution provider."
        ),
    ] = False,
) -> None:
    """Benchmark every stage and the whole pipeline on a clip.

    Each bundle runs in its own process. The first two seconds are warm-up and are not counted.
    """
    chosen = (compare, soak, choose_providers or None, report, share)
    if sum(one is not None for one in chosen) > 1:
        raise InputError(
            "--compare, --soak, --choose-providers, --report and --share are mutually exclusive",
            "give one of them",
        )
    if (soak is not None or choose_providers) and len(bundle or ()) > 1:
        raise InputError(
            "--soak and --choose-providers accept only one bundle", "give --bundle once"
        )
    first = bundle[0] if bundle else None
    if compare is not None:
        _compare(*compare, json)
    elif soak is not None:
        _soak(first, _clip(clip), soak, budget_ms, json)
    elif choose_providers:
        _providers(first, json)
    else:
        _bench(_clip(clip), bundle or [None], realtime, passes, budget_ms, json, report, share)


def _clip(clip: Path | None) -> Path:
    from mera_edge.sample import CLIP

    return CLIP if clip is None else clip


def _bench(
    clip: Path,
    bundles: Sequence[Path | None],
    realtime: bool,
    passes: int | None,
    budget_ms: int,
    json: bool,
    report: Path | None,
    share: Path | None,
) -> None:
    from mera_edge.bench.bench import Job, bench
    from mera_edge.bench.report import report as write_report
    from mera_edge.bench.share import share as write_share
    from mera_edge.cli.console import say
    from mera_edge.sinks.page import refuse_no_file

    for page in (report, share):
        if page is not None:
            refuse_no_file(page)
    jobs = [Job(clip, bundle, realtime, budget_ms) for bundle in bundles]
    results = bench(jobs, passes or (1 if realtime else 3))
    _print([result.facts for result in results], json, _results)
    if report is not None:
        write_report(report, results)
    if share is not None:
        say(f"to share: {share} and {write_share(share, results)}")


def _compare(first: Path, second: Path, json: bool) -> None:
    from mera_edge.bench.compare import compare, read

    _print([compare(read(first), read(second))], json, _comparison)


def _soak(bundle: Path | None, clip: Path, hours: float, budget_ms: int, json: bool) -> None:
    from rich.progress import Progress

    from mera_edge.bench.soak import soak
    from mera_edge.cli.console import stderr

    with Progress(console=stderr()) as progress:
        task = progress.add_task(f"{hours:g} h of input", total=1.0)
        facts = soak(bundle, clip, hours, budget_ms, lambda s: progress.update(task, completed=s))
    _print([facts], json, _growth)
    grows = [name for name, fit in facts["growth"].items() if fit["grows"]]
    if grows:
        raise CheckFailed(
            f"memory or time grows: {', '.join(grows)}", "confirm with a longer --soak"
        )


def _providers(bundle: Path | None, json: bool) -> None:
    from mera_edge.bench.providers import time_providers
    from mera_edge.bundle import Bundle

    _print(time_providers(Bundle.open(bundle)), json, _choices)


def _print(facts: list[dict[str, Any]], json: bool, table: Any) -> None:
    import json as to_json

    from mera_edge.cli.console import stdout

    if json:
        for result in facts:
            print(to_json.dumps(result, ensure_ascii=False))
    else:
        stdout().print(table(facts))


def _results(results: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("", *(str(result["bundle"]) for result in results))

    def row(name: str, cells: list[str]) -> None:
        table.add_row(name, *cells)

    for figure in ("compute_ms", "cpu_ms", "staleness_ms"):
        row(f"{figure} p50 / p95 / p99 / max", [_spread(r[figure]) for r in results])
    for figure in _FIGURES:
        row(figure, [f"{r[figure]:g}" for r in results])
    row("energy_mj_per_event", [_or_dash(r["energy_mj_per_event"]) for r in results])
    row("ticks, late, dropped", [f"{r['ticks']}, {r['late']}, {r['dropped']}" for r in results])
    row("skipped", [", ".join(f"{k} {n}" for k, n in r["skipped"].items()) or "–" for r in results])
    for name in results[0]["stages"]:
        stages = [r["stages"].get(name) for r in results]
        row(f"  {name}", [f"{s['share']:.1%}  {_spread(s['ms'])}" if s else "–" for s in stages])
    return table


_FIGURES = (
    "real_time_factor", "cpu_percent", "waited_percent", "start_up_s", "pss_mb", "rss_mb",
)  # fmt: skip


def _spread(values: dict[str, float] | None) -> str:
    return "–" if values is None else " / ".join(f"{value:.1f}" for value in values.values())


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _comparison(comparisons: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    (facts,) = comparisons
    differ = f"differing conditions: {', '.join(facts['differ'])}" if facts["differ"] else None
    table = Table("", *facts["bundles"], "ratio", caption=differ)
    for name, figure in facts["figures"].items():
        table.add_row(name, *(_or_dash(figure[key]) for key in ("first", "second", "ratio")))
    return table


def _growth(soaks: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    (facts,) = soaks
    title = f"{facts['hours']:g} h of input at {facts['times_real_time']:g} times real time"
    table = Table("", "first", "last", "per hour", "± standard error", "", title=title)
    for name, fit in facts["growth"].items():
        cells = (f"{fit[key]:g}" for key in ("first", "last", "per_hour", "error"))
        verdict = {True: "grows", False: "flat", None: "not judged"}[fit["grows"]]
        table.add_row(name, *cells, verdict)
    return table


def _choices(roles: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    ran = {name for role in roles for name, p in role["providers"].items() if "ms" in p}
    alone = f"Only {next(iter(ran))} is available here."
    caption = alone if len(ran) == 1 else "* the fastest"
    table = Table("role", "requested", "ms p50 / p95 / p99 / max", "ran on", caption=caption)
    for role in roles:
        for name, provider in role["providers"].items():
            mark = " *" if name == role["fastest"] and len(ran) > 1 else ""
            operators = provider.get("operators", {})
            where = ", ".join(f"{n} ({count})" for n, count in operators.items())
            times = _spread(provider["ms"]) + mark if "ms" in provider else "–"
            table.add_row(role["role"], name, times, where or provider["refused"])
    return table
