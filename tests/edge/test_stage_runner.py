"""A model that fails is left out, said, and tried again; the others go on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.asr import Hypothesis, Recognizer
from mera_edge.bench.replayed import Replayed
from mera_edge.bundle import Bundle, load
from mera_edge.config import RecognitionSettings
from mera_edge.engine import Engine
from mera_edge.engine.protocol import numbers
from mera_edge.errors import EngineError
from mera_edge.events import EmotionEvent
from mera_edge.evidence import Evidence
from mera_edge.features.fbank import LogMel
from mera_edge.host.load import SystemLoad
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.pipeline.stage_runner import StageRunner, StageTimes
from mera_edge.sample import CLIP
from mera_edge.sources.base import AudioChunk, Captured
from mera_edge.stages.face import FaceStage
from mera_edge.stages.fusion import FusionResult, FusionStage
from mera_edge.stages.text import TextStage
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage


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
    chosen = load.load_engine
    Faulty.fault, Faulty.loaded = None, 0

    def load_engine(asked: Any, provider: Any) -> Any:
        engine, reason = chosen(asked, provider)
        return (Faulty(engine) if asked.name == role else engine), reason

    monkeypatch.setattr(load, "load_engine", load_engine)
    pipeline = Pipeline(Bundle.open(), Live(SystemLoad, 1000))
    pipeline.warm_up()
    source = Replayed(CLIP, for_s=60.0)
    source.open()
    times = iter(range(1, 300))

    def run(seconds: float) -> list[EmotionEvent]:
        ticks = [next(times) / 5 for _ in range(round(seconds * 5))]
        view = SourceAvailability(audio=True, video=True)
        return [pipeline.tick(source.poll(now), now, view).event for now in ticks]

    return run


@pytest.mark.parametrize(
    ("play", "fault"), [("voice", "NaN"), ("face", "raises"), ("asr", "raises")], indirect=["play"]
)
def test_other_stages_continue_and_the_failed_stage_recovers(
    play: Any, fault: str, request: pytest.FixtureRequest
) -> None:
    role = request.node.callspec.params["play"]
    modality = "text" if role == "asr" else role
    Faulty.fault = fault
    during = play(9.0)
    last = during[-1].modalities
    why = "RuntimeError: the driver has gone" if fault == "raises" else "model.onnx returned NaN"
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


def test_offline_mode_raises_stage_failures() -> None:
    runner = StageRunner("voice", object, StageTimes(), isolate=False)
    with pytest.raises(ZeroDivisionError):
        runner.call(0.0, lambda _: 1 / 0)
    with pytest.raises(EngineError, match="voice returned NaN"):
        runner.call(0.0, lambda _: [{"valence": np.float32("nan")}])


def test_nan_output_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="text returned NaN in valence"):
        numbers({"valence": np.array([0.0, np.nan])}, "text")


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.floats(0.05, 20.0))
def test_stage_runner_backs_off_exponentially(fails: list[bool], period_s: float) -> None:
    made, forgotten = [], []

    def make() -> None:
        made.append(now)
        if fail:
            raise OSError("no memory")

    now, fail = 0.0, False
    runner = StageRunner("face", make, StageTimes(), True, lambda: forgotten.append(now))
    for index, fail in enumerate(fails):
        now = index * period_s

        def use(stage: None, fail: bool = fail) -> str:
            if fail:
                raise ValueError("bad picture")
            return "an answer"

        answer = runner.call(now, use)
        assert (runner.reason is None) == (answer == "an answer")
    assert len(made) <= 2 + len(fails) * period_s
    assert forgotten == made[1:]


def test_stage_is_private_to_its_runner() -> None:
    runner = StageRunner("voice", object, StageTimes(), isolate=True)
    stage = runner.call(0.0, id)
    public = {name for name in dir(runner) if not name.startswith("_")}
    assert public == {"call", "reason", "reset"}
    assert stage not in {id(getattr(runner, name)) for name in public}


NAN = float("nan")
STAGES: dict[str, tuple[type, str]] = {
    "log-mel": (LogMel, "accept reset flush"),
    "vad": (VoiceActivity, "accept reset"),
    "asr": (Recognizer, "accept partial is_endpoint finalize flush reset"),
    "voice": (VoiceStage, "accept reset"),
    "text": (TextStage, "accept"),
    "face": (FaceStage, "accept needs_frame reset"),
    "fusion": (FusionStage, "fuse"),
}
PARTS = [(name, part) for name, (_, parts) in STAGES.items() for part in parts.split()]
"""Everything that a pipeline asks of a stage."""


def spoiled(answer: Any) -> Any:
    """The answer with one number that is none."""
    if isinstance(answer, list) and answer:
        return [spoiled(answer[0]), *answer[1:]]
    if isinstance(answer, np.ndarray):
        return np.where(np.arange(answer.size).reshape(answer.shape) == 0, NAN, answer)
    if isinstance(answer, Evidence | FusionResult):
        return replace(answer, valence=NAN)
    return replace(answer, confidence=NAN) if isinstance(answer, Hypothesis) else answer


class Spoiled:
    """A stage's class with one of its parts broken, as a method or as a property."""

    def __init__(self, patch: pytest.MonkeyPatch, of: type, part: str, fault: str) -> None:
        self.calls = self.spoiled = 0
        original = vars(of)[part]
        function = original.fget if isinstance(original, property) else original

        def broken(*args: Any, **how: Any) -> Any:
            self.calls += 1
            if fault == "raises":
                raise RuntimeError(f"{part} broke")
            if fault == "hangs" and self.calls == 2:
                time.sleep(HANG_S)
            answer = function(*args, **how)
            if fault != "NaN":
                return answer
            wrong = spoiled(answer)
            self.spoiled += wrong is not answer
            return wrong

        patch.setattr(of, part, property(broken) if isinstance(original, property) else broken)


HANG_S, SECONDS = 0.3, 3
ENDPOINTS = RecognitionSettings(rule3_min_utterance_length=1.3)


@pytest.fixture(scope="module")
def live() -> Pipeline:
    pipeline = Pipeline(Bundle.open(), Live(SystemLoad, 150, rooms=3), ENDPOINTS)
    pipeline.warm_up()
    return pipeline


@pytest.fixture(scope="module")
def clip() -> list[Captured]:
    source = Replayed(CLIP, for_s=SECONDS)
    source.open()
    ticks = [source.poll((tick + 1) / 5) for tick in range(SECONDS * 5)]
    # The silence in which a recognizer rests, and the speech after it.
    silence = np.zeros(3200, np.float32)
    quiet = [Captured([AudioChunk(silence, SECONDS + tick / 5)]) for tick in range(20)]
    later = [
        Captured([replace(s, at_s=s.at_s + 2 * SECONDS) for s in tick.audio]) for tick in ticks[:5]
    ]
    return [*ticks, *quiet, *later]


def run_through(live: Pipeline, clip: list[Captured]) -> list[tuple[EmotionEvent, float]]:
    """Return every event, and what of its tick is no stage's, in ms."""
    live.reset()
    view, answers = SourceAvailability(audio=True, video=True), []
    for number, captured in enumerate(clip):
        now_s, last = (number + 1) / 5, number == len(clip) - 1
        live.needs_frame(now_s)
        result = live.tick(captured, now_s, view, last)
        rest_ms = result.cost.compute_ms - sum(result.stages_ms.values())
        answers.append((result.event, rest_ms))
    return answers


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_failing_stage_is_isolated_and_reported(
    live: Pipeline, clip: list[Captured], name: str, part: str
) -> None:
    for fault in ("raises", "NaN"):
        with pytest.MonkeyPatch.context() as patch:
            broken = Spoiled(patch, STAGES[name][0], part, fault)
            events = [event for event, _ in run_through(live, clip)]
        assert broken.calls, f"nothing asks for {part}: the list above is out of date"
        reasons = {m.reason or "" for event in events for m in event.modalities.values()}
        why = f"{name} failed: " + (
            "RuntimeError" if fault == "raises" else f"{name} returned NaN or infinity"
        )
        if fault == "raises" or broken.spoiled:
            assert any(reason.startswith(why) for reason in reasons)
        assert len(events) == len(clip)
        assert all(np.isfinite(event.emotion.valence) for event in events if event.emotion)
    healthy = [event for event, _ in run_through(live, clip)]
    states = [modality.state for event in healthy for modality in event.modalities.values()]
    assert states.count("used") > len(states) / 3, "what was broken has come back"


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_slow_stage_is_timed_and_makes_the_tick_late(
    live: Pipeline, clip: list[Captured], name: str, part: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken = Spoiled(patch, STAGES[name][0], part, "hangs")
        answers = run_through(live, clip)
    if broken.calls < 2:
        return
    assert any(event.latency.late for event, _ in answers)
    assert max(rest_ms for _, rest_ms in answers) < 1000 * HANG_S / 2


def test_stages_take_all_of_a_tick(live: Pipeline, clip: list[Captured]) -> None:
    run_through(live, clip)
    shares = []
    for _ in range(3):
        answers = run_through(live, clip)
        worked_ms = sum(event.latency.compute_ms for event, _ in answers)
        shares.append(1 - sum(rest_ms for _, rest_ms in answers) / worked_ms)
    assert max(shares) >= 0.97
