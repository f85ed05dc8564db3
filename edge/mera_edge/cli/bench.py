"""`mera-edge bench`: benchmarks on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from mera_edge.cli import options
from mera_edge.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from rich.table import Table


class _Group(typer.core.TyperGroup):
    """Makes `pipeline` the default command of `bench`."""

    default = "pipeline"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "--help"}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Group,
    help="Benchmark the pipeline (`bench [CLIP]`) or the providers, compare results, or soak-test.",
)

Clip = Annotated[
    Path | None, typer.Argument(help="Video or audio file. Default: the bundled sample.")
]
BudgetMs = Annotated[int, typer.Option(min=10, help="Compute budget per answer, in milliseconds.")]


@app.command()
def pipeline(
    clip: Clip = None,
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
    budget_ms: BudgetMs = 100,
    json: options.Json = False,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a report to this file: a table in Markdown if it ends in .md, else a "
            "self-contained HTML page."
        ),
    ] = None,
    share: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML page to share, with the board and its figures, and a JSON file "
            "beside it."
        ),
    ] = None,
) -> None:
    """Benchmark every stage and the whole pipeline on a clip; the default.

    Each bundle runs in its own process. The first two seconds are warm-up and are not counted.
    """
    from mera_edge.bench.bench import Job, bench
    from mera_edge.bench.markdown import write_markdown
    from mera_edge.bench.report import report as write_report
    from mera_edge.bench.share import share as write_share
    from mera_edge.cli.console import say
    from mera_edge.sinks.page import refuse_no_file

    if report is not None and share is not None:
        raise InputError("--report and --share are mutually exclusive", "give one of them")
    for page in (report, share):
        if page is not None:
            refuse_no_file(page)
    bundles: list[Path | None] = [*bundle] if bundle else [None]
    jobs = [Job(_clip(clip), one, realtime, budget_ms) for one in bundles]
    results = bench(jobs, passes or (1 if realtime else 3))
    _print([result.facts for result in results], json, _results)
    if report is not None:
        (write_markdown if report.suffix == ".md" else write_report)(report, results)
    if share is not None:
        say(f"to share: {share} and {write_share(share, results)}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Output of `bench --json`.")],
    second: Annotated[Path, typer.Argument(help="Another output of `bench --json`.")],
    json: options.Json = False,
) -> None:
    """Compare two outputs of `bench --json`."""
    from mera_edge.bench.compare import compare, read

    _print([compare(read(first), read(second))], json, _comparison)


@app.command()
def soak(
    hours: Annotated[float, typer.Argument(min=0.002, help="Hours of input.")],
    clip: Clip = None,
    bundle: options.Bundle = None,
    budget_ms: BudgetMs = 100,
    json: options.Json = False,
) -> None:
    """Replay hours of input; exit code 1 if memory or time grows.

    Ctrl-C ends it early; the result then covers what has been replayed so far.
    """
    from rich.progress import Progress

    from mera_edge.bench.soak import soak
    from mera_edge.cli.console import stderr
    from mera_edge.service.signals import stop_on_signals

    with Progress(console=stderr()) as progress, stop_on_signals() as stop:
        task = progress.add_task(f"{hours:g} h of input", total=1.0)

        def show(share: float) -> None:
            progress.update(task, completed=share)

        facts = soak(bundle, _clip(clip), hours, budget_ms, show, stop)
    _print([facts], json, _growth)
    grows = [name for name, fit in facts["growth"].items() if fit["grows"]]
    if grows:
        raise CheckFailed(
            f"memory or time grows: {', '.join(grows)}", "confirm with a longer `bench soak`"
        )


@app.command()
def providers(bundle: options.Bundle = None, json: options.Json = False) -> None:
    """Benchmark every model on every execution provider."""
    from mera_edge.bench.providers import time_providers
    from mera_edge.bundle import Bundle

    _print(time_providers(Bundle.open(bundle)), json, _choices)


def _clip(clip: Path | None) -> Path:
    from mera_edge.sample import CLIP

    return CLIP if clip is None else clip


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
    for figure in ("closing_ms", "energy_mj_per_event", "energy_j_per_hour"):
        row(figure, [_or_dash(r[figure]) for r in results])
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
