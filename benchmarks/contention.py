"""Behaviour of a live run when other processes compete for its CPU, and afterwards.

    taskset -c 0 python benchmarks/contention.py [CLIP] [BUNDLE]

Six seconds alone, ten with two busy processes on the same processor, twelve alone again. Other load
on the machine affects the figures too; the share of time that the run waited for the CPU shows how
much.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from mera_edge.bench.replayed import Replayed
from mera_edge.bundle import Bundle
from mera_edge.events import EmotionEvent, Summary
from mera_edge.host.load import LoadMonitor
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.service.clock import RealClock
from mera_edge.service.run_loop import run

ALONE_S, BUSY_S, AFTER_S = 6.0, 10.0, 12.0
PERIOD_S = 0.2


class Watch:
    """Notes when each event was published, and starts and ends the competitors."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows: list[tuple[float, EmotionEvent]] = []
        self.monitor = LoadMonitor()
        self.waited: list[float] = []
        self.busy: list[subprocess.Popen[bytes]] = []
        self.calm_s = ALONE_S + BUSY_S

    def publish(self, event: EmotionEvent) -> None:
        now = time.monotonic() - self.began
        self.rows.append((now, event))
        self.waited.append(self.monitor().contention)
        if not self.busy and now >= ALONE_S:
            self.busy = [subprocess.Popen(["yes"], stdout=subprocess.DEVNULL) for _ in range(2)]
        if now >= self.calm_s and self.busy[0].poll() is None:
            for process in self.busy:
                process.kill()
                process.wait()

    def close(self, summary: Summary) -> None:
        pass


def describe(
    name: str, rows: list[tuple[float, EmotionEvent]], before_s: float, waited: float
) -> None:
    compute = [event.latency.compute_ms for _, event in rows]
    gaps = np.diff([before_s, *(at for at, _ in rows)])
    # An event belongs to the tick that its stream time names.
    delay = [at - (event.media_time_s or 0.0) for at, event in rows]
    skipped = sum(bool(event.latency.skipped) for _, event in rows)
    read = sum("face" not in event.latency.skipped for _, event in rows) / len(rows)
    p50, p95 = np.percentile(compute, (50, 95))
    print(
        f"| {name} | {len(rows)} | {p50:.1f} | {p95:.1f} | {max(compute):.1f} "
        f"| {1000 * max(delay):.0f} | {1000 * gaps.max():.0f} | {skipped} "
        f"| {waited:.0%} | {read:.0%} |"
    )


def main() -> None:
    clip = Path(sys.argv[1]) if len(sys.argv) > 1 else CLIP
    bundle = Bundle.open(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    pipeline = Pipeline(bundle, Live(LoadMonitor()))
    pipeline.warm_up()
    watch = Watch()
    source = Replayed(clip, for_s=ALONE_S + BUSY_S + AFTER_S)
    run(pipeline, [source], RealClock(), [watch], threading.Event(), 1 / PERIOD_S)
    parts = {"alone": (0.0, ALONE_S), "two competitors": (ALONE_S, watch.calm_s)}
    parts["alone again"] = (watch.calm_s, ALONE_S + BUSY_S + AFTER_S + 1)
    print(
        "| | events | compute p50, ms | p95 | max | published after its tick, max ms "
        "| between events, max ms | with something left out | waited | face not left out |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (from_s, to_s) in parts.items():
        rows = [row for row in watch.rows if from_s < row[0] <= to_s]
        before_s = max((at for at, _ in watch.rows if at <= from_s), default=from_s)
        waited = [
            w for w, (at, _) in zip(watch.waited, watch.rows, strict=True) if from_s < at <= to_s
        ]
        describe(name, rows, before_s, float(np.mean(waited)))
    left_out = [at for at, event in watch.rows if event.latency.skipped and at > watch.calm_s]
    full_s = max(left_out, default=watch.calm_s) - watch.calm_s
    print(f"\nFull service {full_s:.1f} s after the competitors left.")


main()
