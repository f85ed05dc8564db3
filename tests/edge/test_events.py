"""Events survive the way to a file and back, and fit the schema that is published."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jsonschema import Draft202012Validator

from mera_edge.errors import InputError
from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    RunInfo,
    SourceStatus,
    Summary,
    Transcript,
    json_schema,
    timestamp,
)
from mera_edge.labels import EMOTIONS
from mera_edge.service.run_summary import SummaryBuilder


def event(probabilities: np.ndarray, valence: float) -> EmotionEvent:
    return EmotionEvent(
        schema="mera-edge/event/1",
        at=timestamp(1_800_000_000.1234),
        media_time_s=3.2,
        person=1,
        emotion=Emotion.of(probabilities, valence),
        modalities={
            "voice": Modality(state="used", age_ms=120, weight=0.4),
            "face": Modality(state="missing", reason="no face in view"),
        },
        transcript=Transcript(text="我很高兴, i am glad", final=False, confidence=0.7),
        latency=Latency(compute_ms=11.9, staleness_ms=180, budget_ms=100, late=False),
    )


@given(arrays(np.float32, 7, elements=st.floats(0.0625, 1, width=32)), st.floats(-2, 2))
def test_an_event_comes_back_as_it_was_written(shares: np.ndarray, valence: float) -> None:
    written = event(shares / shares.sum(), valence)
    line = written.to_json()
    assert "\n" not in line
    assert EmotionEvent.from_json(line) == written


def test_the_json_reads_as_documented() -> None:
    shares = np.eye(7, dtype=np.float32)[1]
    facts = json.loads(event(shares, 0.62).to_json())
    assert facts["schema"] == "mera-edge/event/1"
    assert facts["at"] == "2027-01-15T08:00:00.123Z"
    assert facts["emotion"]["label"] == "happy"
    assert tuple(facts["emotion"]["probabilities"]) == EMOTIONS
    assert facts["modalities"]["face"] == {"state": "missing", "reason": "no face in view"}


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "not json",
        event(np.eye(7)[0], 0).to_json().replace("event/1", "event/9"),
        event(np.eye(7)[0], 0).to_json().replace('"fear"', '"dread"'),
    ],
)
def test_invalid_event_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="not a line of schema mera-edge/event/1"):
        EmotionEvent.from_json(line)


def lines() -> list[EmotionEvent | Summary]:
    """One of every kind: with and without an answer, live and of a file."""
    answer = event(np.eye(7)[1], 0.6)
    failing = Modality(state="missing", reason="asr failed: x", reason_code="stage_failed")
    none = answer.model_copy(
        update={
            "emotion": None,
            "media_time_s": None,
            "person": None,
            "modalities": {"text": failing},
            "run": "0123456789ab",
            "sequence": 0,
            "about": RunInfo(version="1", bundle="default", bundle_id="0123"),
            "room_id": "hall",
            "sources": {
                "hall_camera": SourceStatus(
                    name="camera 0", state="gone", reason="x", reason_code="one of tomorrow"
                )
            },
        }
    )
    totals = SummaryBuilder()
    empty = totals.summary("", 0.0)
    totals.add(answer, 0.0, 0.1)
    return [answer, none, empty, totals.summary("so glad", 1.0)]


def unknown(value: object) -> object:
    """Put a field that nobody knows into every object but those that map names to values."""
    if isinstance(value, list):
        return [unknown(each) for each in value]
    if not isinstance(value, dict):
        return value
    more = {key: unknown(each) for key, each in value.items()}
    is_mapping = not set(value).isdisjoint({"neutral", "voice", "hall_camera", "p50"})
    return more if is_mapping or set(value) == {"text"} else {**more, "of_tomorrow": {"x": 1}}


def test_whatever_is_written_can_be_read_back_and_fits_the_schema() -> None:
    schema = Draft202012Validator(json_schema())
    for line in lines():
        text = line.to_json()
        assert "emotion" in json.loads(text)
        assert type(line).from_json(text) == line
        schema.validate(json.loads(text))
        # What JSON tools do to it, and what a later version may add.
        for other in (
            json.dumps(json.loads(text), sort_keys=True),
            json.dumps(unknown(json.loads(text))),
        ):
            assert type(line).from_json(other) == line
            schema.validate(json.loads(other))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: {**line, "schema": "mera-edge/event/9"},
        lambda line: {key: value for key, value in line.items() if key != "schema"},
        lambda line: {**line, "emotion": {**line["emotion"], "confidence": 1.5}},
        lambda line: {**line, "emotion": {**line["emotion"], "probabilities": {"neutral": 1}}},
        lambda line: {**line, "latency": None},
    ],
)
def test_schema_rejects_invalid_lines(spoil: Callable[[dict], dict]) -> None:
    line = json.loads(event(np.eye(7)[1], 0.6).to_json())
    assert not Draft202012Validator(json_schema()).is_valid(spoil(line))


def test_an_event_without_reason_codes_can_still_be_read() -> None:
    old = (
        '{"schema":"mera-edge/event/1","at":"2026-11-23T12:00:00.123Z","modalities":{"voice":'
        '{"state":"missing","reason":"microphone default gone: it hung; trying again in 2 s"}},'
        '"transcript":{"text":"","final":false,"confidence":0.0},"latency":{"compute_ms":1.0,'
        '"budget_ms":100,"late":false,"skipped":["face"]},"sources":{"microphone default":'
        '{"state":"gone","reason":"it hung; trying again in 2 s"}}}'
    )
    read = EmotionEvent.from_json(old)
    assert read.emotion is None
    assert Draft202012Validator(json_schema()).is_valid(json.loads(old))
    assert EmotionEvent.from_json(read.to_json()) == read
