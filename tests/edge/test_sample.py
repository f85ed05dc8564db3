"""The sample shows what it was made to show, by whatever reasonable models are shipped."""

from __future__ import annotations

from statistics import fmean

import pytest

import mera_edge
from mera_edge.events import EmotionEvent
from mera_edge.sample import CLIP
from mera_edge.wording import course

PARTS = {"happy": (1.0, 8.4), "sad": (10.3, 18.2), "angry": (18.8, 32.0)}
"""What the face does, and from when to when."""


@pytest.fixture(scope="module")
def seen() -> mera_edge.Prediction:
    return mera_edge.predict(CLIP)


def during(events: list[EmotionEvent], label: str, modality: str) -> list[dict[str, float]]:
    begin_s, end_s = PARTS[label]
    return [
        event.modalities[modality].probabilities or {}
        for event in events
        if begin_s <= event.media_time_s <= end_s and event.modalities[modality].probabilities
    ]


def test_sample_clip_is_small() -> None:
    assert CLIP.stat().st_size < 320_000


def test_the_face_tells_each_mood_from_the_others(seen: mera_edge.Prediction) -> None:
    for label in PARTS:
        share = {part: fmean(p[label] for p in during(seen.events, part, "face")) for part in PARTS}
        assert max(share, key=share.__getitem__) == label


def test_she_is_gone_for_a_moment_and_remains_who_she_is(seen: mera_edge.Prediction) -> None:
    gone = [e for e in seen.events if 8.6 <= e.media_time_s <= 10.1]
    assert any(event.modalities["face"].reason_code == "no_face" for event in gone)
    assert len({event.person for event in seen.events if event.person is not None}) == 1


def test_spoken_words_of_the_sample_are_recognized(seen: mera_edge.Prediction) -> None:
    heard = seen.summary.transcript
    assert "happy" in heard and "hate" in heard


def test_the_course_has_the_moods_in_their_order(seen: mera_edge.Prediction) -> None:
    said = course(seen.summary.course or ()) or ""
    moods = [mood for mood in said.replace(" and", ", then").split(", then ") if mood in PARTS]
    assert moods
    assert moods == [label for label in PARTS if label in moods]
