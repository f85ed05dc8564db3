"""Benchmarks bundles on the same clip, each in its own process, with interleaved passes."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mera_edge.bench.figures import spread
from mera_edge.bench.measure import WARM_UP_S, Pass, measure
from mera_edge.bench.replayed import Replayed
from mera_edge.bench.usage import Usage
from mera_edge.bundle import Bundle
from mera_edge.errors import EngineError, InputError, MeraError
from mera_edge.host import sensors
from mera_edge.host.load import LoadMonitor
from mera_edge.pipeline.mode import Live, Mode, Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import RealClock, VirtualClock

SCHEMA = "mera-edge/bench/1"


@dataclass(frozen=True)
class Job:
    """The parameters of a benchmark."""

    clip: Path
    bundle: Path | None = None
    """``None``: the one in the package."""
    realtime: bool = False
    """In real time with budget control, like `run`; else as fast as possible, like `predict`."""
    budget_ms: int = 100
    ticks_per_second: float = 5.0


@dataclass(frozen=True)
class Result:
    """The result for one bundle."""

    facts: dict[str, Any]
    """The output of ``--json``."""
    measured: Pass


def bench(jobs: Sequence[Job], passes: int) -> list[Result]:
    """Measure all jobs in ``passes`` rounds of one pass each.

    Raises:
        InputError, BundleError, EngineError: a clip or a bundle cannot be used.
    """
    workers = [_Worker(job) for job in jobs]
    try:
        for index in range(passes):
            for worker in workers:
                worker.turn(warm_up_s=0.0 if index else WARM_UP_S)
        return [worker.result(passes) for worker in workers]
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process with one pipeline, so that start-up time and memory are those of a run."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._measured: Pass | None = None
        self._usage: Usage | None = None
        self._start_up_s = 0.0

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_work, args=(there, self._job), daemon=True)
        self._process.start()
        there.close()

    def turn(self, warm_up_s: float) -> None:
        """Measure one pass; the first call starts the process."""
        began = time.monotonic()
        if self._measured is None:
            self._start()
        self._here.send(warm_up_s)
        try:
            answer = self._here.recv()
        except EOFError as error:
            raise EngineError(
                f"the process that measured {self._job.clip.name} ended without a result",
                "see above, or run `mera-edge predict` on the clip: it may be out of memory",
            ) from error
        if isinstance(answer, MeraError):
            raise answer
        measured, self._usage = answer
        if self._measured is None:
            self._measured = measured
            self._start_up_s = measured.first_event_s - began
        else:
            self._measured.add(measured)

    def result(self, passes: int) -> Result:
        """Return the result of all passes."""
        if self._measured is None or self._usage is None or not self._measured.ticks:
            raise InputError(
                f"nothing is left of {self._job.clip} after {WARM_UP_S:g} s of warm-up",
                "give a longer clip or more --passes",
            )
        start = {"start_up_s": round(self._start_up_s, 3)}
        memory = {"pss_mb": self._usage.pss_mb, "rss_mb": self._usage.rss_mb}
        facts = {**_conditions(self._job, passes), **figures(self._measured), **start, **memory}
        return Result({**facts, "machine": machine()}, self._measured)

    def end(self) -> None:
        """Stop the process."""
        if self._measured is not None:
            self._here.close()
            self._process.join()


def _work(there: Connection, job: Job) -> None:
    """Entry point of the process: measure one pass per message until the pipe is closed."""
    pipeline = None
    while True:
        try:
            warm_up_s = there.recv()
        except EOFError:
            return
        try:
            if pipeline is None:
                mode: Mode = Offline(job.budget_ms)
                if job.realtime:
                    mode = Live(LoadMonitor(), job.budget_ms)
                pipeline = Pipeline(Bundle.open(job.bundle), mode)
                pipeline.warm_up()
            clock = RealClock() if job.realtime else VirtualClock()
            source = Replayed(job.clip)
            measured = measure(pipeline, source, clock, job.ticks_per_second, warm_up_s)
        except MeraError as error:
            there.send(error)
            return
        there.send((measured, Usage.now()))


def figures(measured: Pass) -> dict[str, Any]:
    """Return the figures of a measurement: times in ms, energy in mJ, CPU time in % of a core.

    ``compute_ms`` excludes the last tick of the clip, which is ``closing_ms``. Energy is that of
    the whole board, per answer and per hour of input. ``waited_percent`` is the share of time that
    the pipeline waited for a CPU, and so indicates how far other processes affect the times.
    """
    ticks = measured.ticks
    running = [tick for tick in ticks if not tick.closing] or ticks
    worked_ms = sum(tick.compute_ms + tick.stages_ms["decode"] for tick in ticks)
    names = dict.fromkeys(name for tick in ticks for name in tick.stages_ms)
    joules = measured.joules
    return {
        "ticks": len(ticks),
        "warm_up_ticks": measured.warm_up_ticks,
        "real_time_factor": round(worked_ms / 1000 / measured.stream_s, 4),
        "cpu_percent": round(100 * measured.cpu_s / measured.stream_s, 2),
        "waited_percent": round(100 * measured.waited_s / measured.stream_s, 2),
        "compute_ms": spread([tick.compute_ms for tick in running]),
        "closing_ms": max((tick.compute_ms for tick in ticks if tick.closing), default=None),
        "cpu_ms": spread([tick.cpu_ms for tick in ticks]),
        "staleness_ms": spread([t.staleness_ms for t in ticks if t.staleness_ms is not None]),
        "stages": {
            name: {
                "share": round(sum(t.stages_ms.get(name, 0) for t in ticks) / worked_ms, 4),
                "ticks": sum(name in tick.stages_ms for tick in ticks),
                "ms": spread([t.stages_ms[name] for t in ticks if name in t.stages_ms]),
            }
            for name in names
        },
        "late": sum(tick.late for tick in ticks),
        "dropped": measured.dropped,
        "skipped": dict(Counter(name for tick in ticks for name in tick.skipped)),
        "energy_mj_per_event": None if joules is None else round(1000 * joules / len(ticks), 2),
        "energy_j_per_hour": None if joules is None else round(3600 * joules / measured.stream_s),
    }


def _conditions(job: Job, passes: int) -> dict[str, Any]:
    manifest = Bundle.open(job.bundle).manifest
    return {
        "schema": SCHEMA,
        "bundle": manifest.name if job.bundle is None else str(job.bundle),
        "precision": {name: role.precision for name, role in manifest.roles.items()},
        "clip": str(job.clip),
        "realtime": job.realtime,
        "budget_ms": job.budget_ms,
        "ticks_per_second": job.ticks_per_second,
        "passes": passes,
    }


def machine() -> dict[str, Any]:
    """Describe the machine and its present state."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
        "temperatures_c": sensors.temperatures(),
        "clocks_mhz": sensors.clocks_mhz(),
        "power_mode": sensors.power_mode(),
        "energy_from": sensors.EnergyMeter().source,
    }
