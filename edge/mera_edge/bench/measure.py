"""Measures one pass of a clip through a pipeline, tick by tick."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from mera_edge.bench.replayed import Replayed
from mera_edge.events import Summary
from mera_edge.host.load import waited_and_worked
from mera_edge.host.sensors import EnergyMeter
from mera_edge.pipeline.pipeline import Pipeline, TickResult
from mera_edge.service.clock import Clock
from mera_edge.service.run_loop import run

WARM_UP_S = 2.0
"""Stream time at the start of a process that is not counted: caches fill and memory grows."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The cost of one tick."""

    compute_ms: float
    cpu_ms: float
    """CPU time of the thread, including decoding; other processes do not affect it."""
    staleness_ms: int | None
    stages_ms: dict[str, float]
    """Times of the stages that ran, and of decoding the clip, which is not part of
    ``compute_ms``."""
    late: bool
    skipped: tuple[str, ...]
    closing: bool = False
    """Whether it is the last tick of the clip, which waits for all pending results. A live run has
    one only when it ends."""


@dataclass
class Pass:
    """The cost of one or more passes."""

    ticks: list[Tick] = field(default_factory=list)
    warm_up_ticks: int = 0
    dropped: int = 0
    """Ticks that were left out because the previous one took too long."""
    stream_s: float = 0.0
    cpu_s: float = 0.0
    waited_s: float = 0.0
    """Time in which the pipeline's thread was runnable but waited for a CPU."""
    joules: float | None = None
    first_event_s: float = 0.0
    """Time of the first event, by `time.monotonic`."""

    def add(self, other: Pass) -> None:
        """Add a later pass; ``first_event_s`` does not change."""
        self.ticks += other.ticks
        self.dropped += other.dropped
        self.stream_s += other.stream_s
        self.cpu_s += other.cpu_s
        self.waited_s += other.waited_s
        if self.joules is not None and other.joules is not None:
            self.joules += other.joules


def measure(
    pipeline: Pipeline,
    source: Replayed,
    clock: Clock,
    ticks_per_second: float = 5.0,
    warm_up_s: float = WARM_UP_S,
) -> Pass:
    """Run a clip through a pipeline and measure everything after the first ``warm_up_s``.

    Raises:
        InputError: the clip cannot be used.
    """
    watch = _Watch(source, 1 / ticks_per_second, warm_up_s)
    run(pipeline, [source], clock, [], threading.Event(), ticks_per_second, observers=[watch])
    return watch.measured


class _Watch:
    """An observer that measures."""

    def __init__(self, source: Replayed, period_s: float, warm_up_s: float) -> None:
        self._source = source
        self._period_s, self._warm_up_s = period_s, warm_up_s
        self._before_s = 0.0
        self._spent_s = time.thread_time()
        self._restart()
        self.measured = Pass()

    def _restart(self) -> None:
        self._meter = EnergyMeter()
        self._cpu_s = time.process_time()
        self._waited_s, _ = waited_and_worked()
        self._counted_from_s = self._before_s

    def publish(self, result: TickResult) -> None:
        now_s, latency = result.observation.now_s, result.event.latency
        gap_s, self._before_s = now_s - self._before_s, now_s
        spent_s, self._spent_s = self._spent_s, time.thread_time()
        cpu_ms = (self._spent_s - spent_s) * 1000
        measured = self.measured
        measured.first_event_s = measured.first_event_s or time.monotonic()
        if now_s < self._warm_up_s + self._period_s / 2:
            measured.warm_up_ticks += 1
            self._restart()
            return
        self._meter.sample()
        measured.dropped += max(0, round(gap_s / self._period_s) - 1)
        measured.ticks.append(
            Tick(
                latency.compute_ms,
                cpu_ms,
                latency.staleness_ms,
                {"decode": self._source.decode_ms, **result.stages_ms},
                latency.late,
                latency.skipped,
                self._source.ended,
            )
        )
        measured.cpu_s = time.process_time() - self._cpu_s
        measured.stream_s = now_s - self._counted_from_s
        measured.joules = self._meter.joules

    def close(self, summary: Summary) -> None:
        # Reading the scheduler's statistics in every tick would affect the measurement.
        self.measured.waited_s = waited_and_worked()[0] - self._waited_s
