"""A model that fails is left out, said, and tried again; the others go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.bench.replayed import Replayed
from mera_edge.bundle import Bundle, load
from mera_edge.engine import Engine
from mera_edge.engine.protocol import numbers
from mera_edge.errors import EngineError
from mera_edge.events import EmotionEvent
from mera_edge.runtime.budget import Strain
from mera_edge.runtime.guard import Guard
from mera_edge.runtime.perception import View
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.sample import CLIP


class Faulty:
    """A real engine that is made to fail."""

    fault: str | None = None
    loaded = 0

    def __init__(self, engine: Engine) -> None:
        Faulty.loaded += 1
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        if Faulty.fault == "raises":
            raise RuntimeError("the driver has gone")
        answer = self._engine.run(feeds)
        if Faulty.fault == "NaN":
            return numbers({name: value * np.nan for name, value in answer.items()}, "model.onnx")
        return answer


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    role = request.param
    chosen = load.choose
    Faulty.fault, Faulty.loaded = None, 0

    def choose(asked: Any, provider: Any) -> Any:
        engine, reason = chosen(asked, provider)
        return (Faulty(engine) if asked.name == role else engine), reason

    monkeypatch.setattr(load, "choose", choose)
    pipeline = Pipeline(Bundle.open(), 1000, strain=Strain)
    pipeline.warm_up()
    source = Replayed(CLIP, for_s=60.0)
    source.open()
    times = iter(range(1, 300))

    def run(seconds: float) -> list[EmotionEvent]:
        ticks = [next(times) / 5 for _ in range(round(seconds * 5))]
        view = View(sound=True, picture=True)
        return [pipeline.tick(source.poll(now), now, view) for now in ticks]

    return run


@pytest.mark.parametrize(
    ("play", "fault"), [("voice", "NaN"), ("face", "raises"), ("asr", "raises")], indirect=["play"]
)
def test_the_others_go_on_and_it_comes_back(
    play: Any, fault: str, request: pytest.FixtureRequest
) -> None:
    role = request.node.callspec.params["play"]
    modality = "text" if role == "asr" else role
    Faulty.fault = fault
    during = play(9.0)
    last = during[-1].modalities
    why = "RuntimeError: the driver has gone" if fault == "raises" else "model.onnx gave NaN"
    reasons = {event.modalities[modality].reason for event in during}
    assert any(f"{role} failed: {why}" in (reason or "") for reason in reasons)
    others = {"voice", "face"} - {modality}
    assert all(any(e.modalities[name].state == "used" for e in during) for name in others)
    assert last[modality].state == "missing"
    # Made again after 1, 2, 4, ... seconds, and not in every tick.
    assert 2 <= Faulty.loaded <= 5
    Faulty.fault = None
    assert any(event.modalities[modality].state == "used" for event in play(9.0))


@pytest.mark.parametrize("play", ["fusion"], indirect=True)
def test_without_fusion_there_is_no_answer_and_a_reason(play: Any) -> None:
    Faulty.fault = "raises"
    (*_, event) = play(3.0)
    assert event.emotion is None
    assert "fusion failed: RuntimeError" in (event.modalities["face"].reason or "")
    Faulty.fault = None
    assert play(3.0)[-1].emotion is not None


def test_where_files_are_read_what_fails_is_raised() -> None:
    bundle = Bundle.open()
    guard = Guard("voice", lambda bundle: bundle, bundle, isolate=False)
    with pytest.raises(ZeroDivisionError):
        guard.run(0.0, lambda _: 1 / 0)


def test_nan_is_an_error_of_the_engine() -> None:
    with pytest.raises(EngineError, match="text gave NaN as valence"):
        numbers({"valence": np.array([0.0, np.nan])}, "text")


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.floats(0.05, 20.0))
def test_a_guard_never_raises_and_waits_longer_and_longer(
    fails: list[bool], period_s: float
) -> None:
    made = []

    class Models:
        def forget(self, role: str) -> None:
            pass

    def make(bundle: Any) -> None:
        made.append(now)
        if fail:
            raise OSError("no memory")

    now, fail = 0.0, False
    guard = Guard("face", make, Models(), isolate=True)  # type: ignore[arg-type]
    for index, fail in enumerate(fails):
        now = index * period_s

        def use(stage: None, fail: bool = fail) -> str:
            if fail:
                raise ValueError("bad picture")
            return "an answer"

        answer = guard.run(now, use)
        assert (guard.reason is None) == (answer == "an answer")
    assert len(made) <= 2 + len(fails) * period_s
