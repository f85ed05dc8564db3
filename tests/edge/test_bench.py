"""The bench, checked against stages of known duration and series of known slope."""

from __future__ import annotations

import json
import math
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.bench.bench import Job, Result, bench, figures
from mera_edge.bench.compare import compare, read
from mera_edge.bench.figures import slope, spread
from mera_edge.bench.markdown import markdown
from mera_edge.bench.measure import Pass, Tick, measure
from mera_edge.bench.replayed import Replayed
from mera_edge.bench.report import report
from mera_edge.bench.usage import Usage
from mera_edge.errors import InputError
from mera_edge.events import EmotionEvent, Latency, Modality, Transcript, timestamp
from mera_edge.pipeline.event_builder import Observation, TickCost
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import TickResult
from mera_edge.pipeline.stage_runner import StageRunner, StageTimes
from mera_edge.sample import CLIP
from mera_edge.service.clock import VirtualClock
from mera_edge.sources.base import Captured

TICK_S = 0.2
BUDGET_MS = 12
CLIP_S = 32.2


class Sleeping:
    """A pipeline of two stages that do nothing, for a known time."""

    transcript = ""
    about = None

    def __init__(self, first_ms: float = 0.0) -> None:
        self.first_ms = first_ms

    def reset(self) -> None:
        self.ticks = 0

    def needs_frame(self, now_s: float) -> bool:
        return True

    def is_resting(self, now_s: float) -> bool:
        return False

    def words_due_s(self, now_s: float) -> float:
        return math.inf

    def tick(
        self, captured: Captured, now_s: float, view: SourceAvailability, last: bool
    ) -> TickResult:
        self.ticks += 1
        times = StageTimes()
        asr, face = (StageRunner(name, lambda: time, times, False) for name in ("asr", "face"))
        asr.call(now_s, lambda time: time.sleep(0.002))
        if self.ticks % 2:
            face.call(now_s, lambda time: time.sleep(0.008))
        if self.ticks <= 10:
            time.sleep(self.first_ms / 1000)
        compute_ms = times.total_ms
        stages_ms = times.end()
        event = EmotionEvent(
            schema="mera-edge/event/1",
            at=timestamp(0),
            media_time_s=round(now_s, 3),
            emotion=None,
            modalities={"face": Modality(state="missing", reason="asleep")},
            transcript=Transcript(text="", final=False, confidence=0),
            latency=Latency(
                compute_ms=compute_ms,
                staleness_ms=round(30 + compute_ms),
                budget_ms=BUDGET_MS,
                late=compute_ms > BUDGET_MS,
                skipped=() if self.ticks % 2 else ("face",),
            ),
        )
        return TickResult(
            event, observation(now_s), TickCost(0.0, compute_ms, BUDGET_MS), stages_ms
        )


def observation(now_s: float) -> Observation:
    """Nothing was observed."""
    return Observation(
        now_s, (), {}, Transcript(text="", final=False, confidence=0), False, (), True
    )


def test_stages_of_known_duration_are_measured_as_such() -> None:
    measured = measure(Sleeping(), Replayed(CLIP, for_s=8.0), VirtualClock())
    facts = figures(measured)
    assert facts["warm_up_ticks"] == 10
    assert facts["ticks"] == 30
    # A loaded machine sleeps longer than it was told to, never shorter.
    assert 2 <= facts["stages"]["asr"]["ms"]["p50"] < 8
    assert 8 <= facts["stages"]["face"]["ms"]["p50"] < 32
    assert facts["stages"]["face"]["ticks"] == 15
    assert 2 <= facts["compute_ms"]["p50"] < facts["compute_ms"]["p95"]
    assert facts["compute_ms"]["p95"] >= 10
    assert facts["staleness_ms"]["p95"] >= 40
    assert facts["skipped"] == {"face": 15}
    assert sum(stage["share"] for stage in facts["stages"].values()) == pytest.approx(1, abs=0.02)
    worked_s = (30 * 2 + 15 * 8) / 1000
    assert worked_s / 6 < facts["real_time_factor"] < 10 * worked_s / 6
    assert facts["cpu_percent"] < 50  # sleeping is no work
    assert facts["cpu_ms"]["p50"] < facts["compute_ms"]["p50"]


def test_warm_up_is_never_counted() -> None:
    facts = figures(measure(Sleeping(first_ms=400), Replayed(CLIP, for_s=4.0), VirtualClock()))
    assert facts["compute_ms"]["max"] < 400


def test_later_passes_have_no_warm_up_and_add_up() -> None:
    total = measure(Sleeping(), Replayed(CLIP, for_s=3.0), VirtualClock())
    total.add(measure(Sleeping(), Replayed(CLIP, for_s=3.0), VirtualClock(), warm_up_s=0.0))
    assert (len(total.ticks), total.warm_up_ticks) == (5 + 15, 10)
    assert total.stream_s == pytest.approx(1.0 + 3.0)


def test_ticks_that_were_missed_are_counted() -> None:
    class Slow(VirtualClock):
        """A machine that misses two ticks of three."""

        def wait_until(self, moment_s: float, stop: object) -> None:
            self._now = max(moment_s, self._now + 3 * TICK_S)

    measured = measure(Sleeping(), Replayed(CLIP, for_s=6.0), Slow(), warm_up_s=0.0)
    assert measured.dropped == 2 * len(measured.ticks)


def test_a_clip_replayed_is_one_unbroken_stream() -> None:
    source = Replayed(CLIP, for_s=30.0)
    source.open()
    sounds, pictures, now = [], [], 0.0
    while not source.ended:
        now += TICK_S
        captured = source.poll(now)
        sounds += captured.audio
        pictures += [captured.frame.at_s] if captured.frame else []
    source.close()
    for before, after in pairwise(sounds):
        gap = after.at_s - (before.at_s + len(before.samples) / 16_000)
        assert 0 <= gap + 1e-9 < 2 * TICK_S  # between two rounds there may be a rest of a tick
    assert pictures == sorted(pictures)
    assert now == pytest.approx(30.0, abs=TICK_S + 1e-6)
    assert now - pictures[-1] < TICK_S


def test_percentiles() -> None:
    assert spread(range(101)) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert spread([]) is None


@given(st.floats(-5, 5), st.floats(-100, 100), st.integers(3, 50))
def test_a_line_is_fitted_exactly(growth: float, start: float, points: int) -> None:
    times = [index / 7 for index in range(points)]
    fit = slope(times, [start + growth * time for time in times])
    assert fit.value == pytest.approx(growth, abs=1e-3)
    assert fit.error == pytest.approx(0, abs=1e-3)
    assert fit.exceeds(growth - 0.1)
    assert not fit.exceeds(growth + 0.1)


def test_noise_without_a_trend_is_not_reported_as_growth() -> None:
    values = [100 + (index * 7919 % 13) for index in range(200)]
    assert not slope([index / 100 for index in range(200)], values).exceeds(1.0)


def test_usage_includes_allocated_memory(tmp_path: Path) -> None:
    before = Usage.now()
    held = b"x" * 50_000_000
    child = subprocess.Popen(["sleep", "60"])
    with (tmp_path / "file").open("w"):
        after = Usage.now()
    child.kill()
    child.wait()
    assert after.descriptors == before.descriptors + 1
    assert after.children == before.children + 1
    assert after.pss_mb - before.pss_mb == pytest.approx(len(held) / 2**20, abs=5)
    assert after.rss_mb >= after.pss_mb > 10


def test_what_cannot_be_measured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        bench([Job(tmp_path / "absent.mp4")], passes=1)


def test_energy_and_temperature_are_reported_if_the_board_has_them(tmp_path: Path) -> None:
    tick = Tick(10.0, 9.0, 50, {"decode": 1.0, "asr": 10.0}, late=False, skipped=())
    last = replace(tick, compute_ms=300.0, closing=True)
    measured = Pass(ticks=[tick] * 49 + [last], stream_s=10.0, joules=50.0)
    found = figures(measured)
    assert found["energy_mj_per_event"] == 1000
    assert found["energy_j_per_hour"] == 18_000
    assert found["compute_ms"]["max"] == 10.0
    assert found["closing_ms"] == 300.0
    machine = {**FACTS["machine"], "temperatures_c": {"cpu": 61.0, "gpu": 48.5}}
    facts = {**FACTS, **found, "precision": {"asr": "int8"}, "machine": machine}
    report(tmp_path / "page.html", [Result(facts, measured)])
    page = (tmp_path / "page.html").read_text()
    assert "18,000 J" in page
    assert "61 °C" in page and "(cpu)" in page
    machine["energy_from"] = "rapl"
    table = markdown([Result(facts, measured), Result({**facts, "pss_mb": 320}, measured)])
    assert "| energy per hour of input, whole board, J | 18000 | 18000 |" in table
    assert "| PSS of this process, MB | 170 | **320** | 220 |" in table
    assert "Hottest sensor: 61 °C" in table


FACTS: dict[str, Any] = {
    "schema": "mera-edge/bench/1", "bundle": "a", "clip": "c", "realtime": False,
    "budget_ms": 100, "ticks_per_second": 5.0, "passes": 3, "real_time_factor": 0.1,
    "cpu_percent": 10, "waited_percent": 0,
    "compute_ms": {"p50": 8, "p95": 30, "p99": 35, "max": 40},
    "cpu_ms": {"p50": 8, "p95": 30, "p99": 35, "max": 40},
    "staleness_ms": None, "start_up_s": 0.6, "pss_mb": 170, "rss_mb": 200,
    "energy_mj_per_event": None,
    "machine": {"system": "s", "cores": 1, "python": "3", "onnxruntime": "1", "power_mode": None},
}  # fmt: skip


def test_two_benches_are_compared_figure_by_figure(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(FACTS))
    faster = {**FACTS, "bundle": "b", "passes": 1, "real_time_factor": 0.05}
    (tmp_path / "b.json").write_text(json.dumps(faster))
    answer = compare(read(tmp_path / "a.json"), read(tmp_path / "b.json"))
    assert answer["figures"]["real_time_factor"]["ratio"] == 0.5
    assert answer["figures"]["compute_ms.p95"]["ratio"] == 1
    assert answer["figures"]["staleness_ms.p50"]["ratio"] is None
    assert answer["differ"] == ["passes"]


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"schema": "mera-edge/event/1"}'])
def test_only_benches_are_compared(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        read(tmp_path / "a.json")
