"""The ladder of service, with a clock that the tests hold."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mera_edge.host.load import SystemLoad
from mera_edge.pipeline.latency_budget import CALM, LADDER, LatencyBudget

BUDGET_MS = 100
TICK_S = 0.2
CALM_TICK, FULL, SLOW = BUDGET_MS * CALM / 2, BUDGET_MS * (CALM + 1) / 2, BUDGET_MS * 1.5
LOADS = st.builds(SystemLoad, st.floats(0, 1), st.booleans())
TICKS = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000), LOADS), max_size=80)


class Run:
    """Ticks one after the other."""

    def __init__(self) -> None:
        self.budget = LatencyBudget(BUDGET_MS)
        self.now = 0.0

    def tick(self, total_ms: float, load: SystemLoad = SystemLoad(), face_ms: float = 0.0) -> int:  # noqa: B008
        """Spend time and return the step of the ladder, 0 being full service."""
        self.now += TICK_S
        self.budget.plan()
        self.budget.settle(self.now, total_ms, {"face": face_ms}, load)
        return LADDER.index(self.budget.level)

    def through(self, ticks: list[tuple[float, float, SystemLoad]]) -> list[int]:
        return [self.tick(total, load, face) for total, face, load in ticks]


@given(TICKS)
def test_service_changes_one_step_at_a_time(ticks: list[tuple[float, float, SystemLoad]]) -> None:
    steps = [0, *Run().through(ticks)]
    assert all(abs(b - a) <= 1 for a, b in pairwise(steps))


@given(TICKS)
def test_full_service_is_back_ten_seconds_after_calm(
    ticks: list[tuple[float, float, SystemLoad]],
) -> None:
    run = Run()
    run.through(ticks)
    assert [run.tick(CALM_TICK) for _ in range(round(10 / TICK_S))][-1] == 0


@given(TICKS)
def test_repeated_budget_misses_lead_to_audio_only(
    ticks: list[tuple[float, float, SystemLoad]],
) -> None:
    run = Run()
    run.through(ticks)
    assert [run.tick(SLOW) for _ in range(2 * len(LADDER))][-1] == len(LADDER) - 1
    assert not run.budget.plan().face


@given(TICKS, st.sampled_from([SystemLoad(contention=1.0), SystemLoad(hot=True)]))
def test_service_level_does_not_rise_under_load(
    ticks: list[tuple[float, float, SystemLoad]], load: SystemLoad
) -> None:
    run = Run()
    run.through(ticks)
    steps = [run.tick(CALM_TICK, load) for _ in range(100)]
    assert steps == sorted(steps)


@given(st.lists(st.floats(BUDGET_MS * CALM + 0.1, BUDGET_MS), max_size=100))
def test_service_level_is_kept_between_the_two_thresholds(costs: list[float]) -> None:
    run = Run()
    run.tick(SLOW)
    assert run.tick(SLOW) == 1
    assert all(run.tick(cost) == 1 for cost in costs)


def test_the_same_cost_is_too_much_when_others_want_the_processor() -> None:
    run = Run()
    assert [run.tick(FULL) for _ in range(20)][-1] == 0
    assert [run.tick(FULL, SystemLoad(contention=0.9)) for _ in range(20)][-1] == len(LADDER) - 1


def test_single_slow_tick_keeps_the_service_level() -> None:
    run = Run()
    for _ in range(10):
        assert run.tick(SLOW) == 0
        assert [run.tick(CALM_TICK) for _ in range(5)][-1] == 0


def test_heat_takes_a_step_every_ten_seconds() -> None:
    run = Run()
    steps = [run.tick(CALM_TICK, SystemLoad(hot=True)) for _ in range(round(25 / TICK_S))]
    assert (steps[0], steps[-1]) == (1, 3)


def test_service_level_that_fails_is_retried_with_backoff() -> None:
    run = Run()
    changes, before = 0, 0
    for _ in range(round(60 / TICK_S)):
        # A machine on which full service is always too slow and the next level is calm.
        step = run.tick(SLOW if before == 0 else CALM_TICK)
        changes += step != before
        before = step
    assert changes <= 2 * 60 / 5


def test_face_is_skipped_when_the_budget_is_spent() -> None:
    run = Run()
    run.tick(FULL, face_ms=40.0)
    assert 60 <= run.budget.plan().face_before_ms < BUDGET_MS


@given(st.floats(0, 10_000))
def test_expensive_stage_is_retried(face_ms: float) -> None:
    run = Run()
    run.tick(FULL, face_ms=face_ms)
    while run.budget.plan().face_before_ms < BUDGET_MS / 2:
        run.tick(CALM_TICK)
        assert run.now < 20


def test_every_step_does_less_than_the_one_above() -> None:
    def work(step: int) -> tuple[float, bool]:
        level = LADDER[step]
        share = 1 / level.face_every if level.face_every else 0.0
        return share, level.partial_text

    for step in range(len(LADDER) - 1):
        above, below = work(step), work(step + 1)
        assert all(a >= b for a, b in zip(above, below, strict=True))
        assert above != below
