"""Events survive the way to a file and back, and refuse what they do not know."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mera_edge.errors import InputError
from mera_edge.events import Emotion, EmotionEvent, Latency, Modality, Transcript, timestamp
from mera_edge.labels import EMOTIONS


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
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="not a line of schema mera-edge/event/1"):
        EmotionEvent.from_json(line)
