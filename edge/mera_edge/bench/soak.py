"""Soak test: replays hours of input as fast as possible and checks what grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mera_edge.bench.bench import machine
from mera_edge.bench.figures import slope
from mera_edge.bench.replayed import Replayed
from mera_edge.bench.usage import Usage
from mera_edge.bundle import Bundle
from mera_edge.errors import CheckFailed
from mera_edge.host.load import LoadMonitor
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run

SCHEMA = "mera-edge/soak/1"

SAMPLES = 200
"""Samples of the process's resource usage, evenly spaced over the input."""

SETTLING = 0.2
"""Fraction of samples at the start that is not fitted: caches are still filling."""

LEAST_SAMPLES = 3
"""Minimum to fit a slope and its standard error."""

LIMITS = {"pss_mb": None, "rss_mb": 1.0, "descriptors": 0.5, "threads": 0.5, "children": 0.5}
"""Growth per hour of input that is accepted. PSS is not judged: it changes whenever another process
that shares libraries starts or ends."""


def soak(
    bundle: Path | None,
    clip: Path,
    hours: float,
    budget_ms: int = 100,
    progress: Callable[[float], None] = lambda share: None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Run ``hours`` of input through one pipeline as one stream, and fit its resource usage.

    Args:
        bundle: the models; ``None`` for those in the package.
        clip: the clip that is looped.
        hours: stream time, not run time.
        budget_ms: see `Pipeline`; budget control is active, as in a live run.
        progress: called with the fraction that is done.
        stop: set it to end early; the input replayed so far is fitted.

    Returns:
        Per figure of `Usage`: its slope per hour of input with the standard error, the first and
        last fitted value, and whether it ``grows`` by significantly more than `LIMITS` (``None``:
        not judged). ``hours`` is the stream time that was replayed.

    Raises:
        CheckFailed: stopped before there were enough samples.
    """
    pipeline = Pipeline(Bundle.open(bundle), Live(LoadMonitor(), budget_ms))
    pipeline.warm_up()
    looks: list[tuple[float, Usage]] = []
    began = time.monotonic()

    def look(now_s: float) -> None:
        if now_s >= len(looks) * hours * 3600 / SAMPLES:
            looks.append((now_s / 3600, Usage.now()))
            progress(now_s / 3600 / hours)

    source, clock = Replayed(clip, for_s=hours * 3600, on_poll=look), VirtualClock()
    # Without a sink, whose memory would grow with every tick.
    run(pipeline, [source], clock, [], stop or threading.Event())
    took_s, replayed_h = time.monotonic() - began, clock.now() / 3600
    fitted = looks[round(len(looks) * SETTLING) :]
    if len(fitted) < LEAST_SAMPLES:
        raise CheckFailed(f"stopped after {replayed_h:.2f} h of input", "let it run for longer")
    times = [at for at, _ in fitted]
    growth = {}
    for name, limit in LIMITS.items():
        values = [getattr(usage, name) for _, usage in fitted]
        fit = slope(times, values)
        growth[name] = {
            "per_hour": fit.value,
            "error": fit.error,
            "first": values[0],
            "last": values[-1],
            "grows": None if limit is None else fit.exceeds(limit),
        }
    return {
        "schema": SCHEMA,
        "clip": str(clip),
        "hours": round(replayed_h, 3),
        "times_real_time": round(clock.now() / took_s, 1),
        "samples": len(fitted),
        "growth": growth,
        "machine": machine(),
    }
