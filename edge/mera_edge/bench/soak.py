"""Hours of input, replayed as fast as the machine goes: what grows?"""

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
"""Looks at the process, evenly over the input."""

SETTLING = 0.2
"""Share of them at the beginning that is not fitted: caches are still filling."""

LEAST_SAMPLES = 3
"""To fit a line and its error."""

LIMITS = {"pss_mb": None, "rss_mb": 1.0, "descriptors": 0.5, "threads": 0.5, "children": 0.5}
"""Growth per hour of input that is still flat. PSS is not judged: it changes with every process
that begins or ends to share our libraries."""


def soak(
    bundle: Path | None,
    clip: Path,
    hours: float,
    budget_ms: int = 100,
    progress: Callable[[float], None] = lambda share: None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Run ``hours`` of input through one pipeline, as one stream, and fit what the process holds.

    Args:
        bundle: the models; ``None`` for those in the package.
        clip: what is played, again and again.
        hours: of input, not of waiting.
        budget_ms: see `Pipeline`; the budget is controlled, as in a live run.
        progress: is told the share that is done.
        stop: set it to end early; what was replayed until then is fitted.

    Returns:
        Per figure of `Usage` its slope per hour of input with the standard error, the first and
        last value that were fitted, and whether it ``grows``: by more than `LIMITS`, beyond doubt
        (``None``: not judged). ``hours`` are those that were replayed.

    Raises:
        CheckFailed: stopped before there was enough to fit.
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
    # Without a sink: what the bench itself would keep of every tick would grow.
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
