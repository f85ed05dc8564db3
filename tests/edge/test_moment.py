"""The state of a person holds while answers flicker, and changes when a change is clear."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mera_edge.cli.answer import print_answer
from mera_edge.events import (
    UNCLEAR,
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    Moment,
    Transcript,
    named,
    timestamp,
)
from mera_edge.labels import EMOTIONS, ModalityName
from mera_edge.pipeline.moment import CLEAR, GONE_AFTER_S, HOLD_S, LEVEL, Moments
from mera_edge.service.course import Course
from mera_edge.service.run_summary import SummaryBuilder
from mera_edge.sinks.html import HtmlReport
from mera_edge.sinks.live import LiveView
from mera_edge.wording import course, why

Said = tuple[str, float]
RATES = st.sampled_from([1.0, 2.0, 5.0, 10.0])
LABELS = st.sampled_from(EMOTIONS)


def shares(label: str, share: float) -> np.ndarray:
    """Give a label a share, and the others the rest evenly."""
    found = np.full(7, (1 - share) / 6)
    found[EMOTIONS.index(label)] = share
    return found


def event(
    fused: Said | None,
    now_s: float = 0.0,
    person: int | None = None,
    **modalities: Said,
) -> EmotionEvent:
    """An event in which each modality said that; the fused answer alone is that of the voice."""
    said: dict[str, Said] = {**modalities} or ({"voice": fused} if fused else {})
    return EmotionEvent(
        schema="mera-edge/event/1",
        at=timestamp(1_800_000_000 + now_s),
        person=person,
        emotion=Emotion.of(shares(*fused), 0.0) if fused else None,
        modalities={
            name: Modality(
                state="used",
                age_ms=100,
                weight=round(1 / len(said), 4),
                probabilities=named(shares(*said[name])),
            )
            if name in said
            else Modality(state="missing", reason="not there")
            for name in ("voice", "face", "text")
        },
        transcript=Transcript(text="", final=False, confidence=0.0),
        latency=Latency(compute_ms=12, staleness_ms=90, budget_ms=100, late=False),
    )


def shown(events: Iterable[EmotionEvent], rate: float = 5.0, moments: Moments | None = None):
    """The moments of events that come at a rate."""
    moments = moments or Moments()
    return [moments.see(each, index / rate) for index, each in enumerate(events)]


def labels(found: Sequence[Moment | None]) -> list[str | None]:
    return [moment and moment.label for moment in found]


answers = st.tuples(LABELS, st.floats(0.2, 1.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(answers, max_size=200), RATES)
def test_moment_holds_for_its_hold_time(said: list[Said], rate: float) -> None:
    found = labels(shown(map(event, said), rate))
    changes = [i / rate for i, (a, b) in enumerate(pairwise(found)) if a != b]
    assert all(later - earlier >= HOLD_S - 1e-6 for earlier, later in pairwise(changes))


@settings(max_examples=60, deadline=None)
@given(st.lists(answers, max_size=100), LABELS, st.floats(CLEAR, 1.0), RATES)
def test_a_clear_answer_is_shown_within_three_seconds(
    before: list[Said], label: str, share: float, rate: float
) -> None:
    found = shown(map(event, [*before, *[(label, share)] * (int(3 * rate) + 1)]), rate)
    assert found[-1] is not None and found[-1].label == label


@settings(max_examples=30, deadline=None)
@given(LABELS, LABELS, RATES)
def test_a_clear_change_goes_straight_to_the_other_emotion(a: str, b: str, rate: float) -> None:
    found = labels(
        shown(map(event, [(a, 0.9)] * int(20 * rate) + [(b, 0.9)] * int(5 * rate)), rate)
    )
    assert UNCLEAR not in found[int(4 * rate) :]
    assert found[-1] == b


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LABELS, st.floats(0.2, LEVEL)), max_size=300), RATES)
def test_moment_below_the_threshold_is_unclear(said: list[Said], rate: float) -> None:
    assert set(labels(shown(map(event, said), rate))) <= {UNCLEAR}


@settings(max_examples=60, deadline=None)
@given(LABELS, answers, st.integers(0, 80), RATES)
def test_single_outlier_does_not_change_the_moment(
    label: str, odd: Said, at: int, rate: float
) -> None:
    said = [(label, 0.9)] * 120
    said[at] = odd
    found = labels(shown(map(event, said), rate))
    assert set(found) == {UNCLEAR, label}
    assert sum(a != b for a, b in pairwise(found)) == 1
    # Nor after a long silence, for which one answer would stand.
    moments = Moments()
    shown(map(event, [(label, 0.9)] * 50), moments=moments)
    late = moments.see(event(odd), 10.0 + GONE_AFTER_S - 1)
    assert late is not None and late.label == label


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), answers), max_size=100))
def test_moments_are_deterministic(said: list[Said | None]) -> None:
    assert shown(map(event, said)) == shown(map(event, said))


def test_what_words_or_voice_say_alone_takes_twice_as_long() -> None:
    calm = event(("neutral", 0.9), voice=("neutral", 0.9), text=("neutral", 0.8))
    words = event(("happy", 0.9), voice=("neutral", 0.8), text=("happy", 0.95))
    both = event(("happy", 0.9), voice=("happy", 0.6), text=("happy", 0.95))
    brief = labels(shown([*[calm] * 50, *[words] * 20, *[calm] * 50]))
    assert set(brief[20:]) == {"neutral"}, "four seconds of a sentence that nothing else supports"
    face = event(("happy", 0.9), voice=("neutral", 0.8), face=("happy", 0.9), text=("neutral", 0.6))
    for said, most_s in ((both, 3.0), (face, 3.0), (words, 6.0)):
        found = labels(shown([*[calm] * 50, *[said] * 50]))
        assert (found.index("happy") - 50) / 5 <= most_s


def test_what_one_of_several_says_alone_ends_a_state_as_fast_as_anything() -> None:
    happy = event(("happy", 0.9), voice=("happy", 0.9), text=("happy", 0.8))
    torn = event(("neutral", 0.8), voice=("neutral", 0.9), text=("sad", 0.6))
    agreed = event(("neutral", 0.8), voice=("neutral", 0.9), text=("neutral", 0.6))
    ends = []
    for after in (torn, agreed):
        found = labels(shown([*[happy] * 50, *[after] * 100]))
        ends.append(next(n for n, label in enumerate(found[50:]) if label != "happy"))
    assert ends[0] / 5 <= 7
    assert ends[1] <= ends[0]


def test_a_person_who_leaves_ends_the_moment_and_another_starts_one() -> None:
    moments = Moments()
    first = [event(("happy", 0.95), i / 5, person=1) for i in range(50)]
    assert labels(shown(first, moments=moments))[-1] == "happy"
    second = moments.see(event(("happy", 0.95), 10.2, person=2), 10.2)
    assert second is not None and (second.label, second.lasts_s) == (UNCLEAR, 0.0)
    # The first is still known, and without a face it is whoever was seen last.
    back = moments.see(event(("happy", 0.95), 10.4, person=1), 10.4)
    assert back is not None and back.label == "happy"
    heard = moments.see(event(("happy", 0.95), 12.0), 12.0)
    assert heard is not None and (heard.label, heard.since) == ("happy", back.since)
    # Nobody is left: nothing is known of anybody.
    assert moments.see(event(None), 10.3 + GONE_AFTER_S) is not None
    assert moments.see(event(None), 12.2 + GONE_AFTER_S) is None
    again = moments.see(event(("happy", 0.95), 60.0, person=1), 60.0)
    assert again is not None and again.label == UNCLEAR


def test_a_remaining_voice_is_used_for_the_room_once_the_face_is_gone() -> None:
    moments = Moments()
    shown([event(("happy", 0.95), person=1)] * 50, moments=moments)
    found = [moments.see(event(("sad", 0.95)), 10 + i / 5) for i in range(80)]
    at = labels(found).index(UNCLEAR)
    assert at / 5 == pytest.approx(GONE_AFTER_S, abs=0.4)
    assert labels(found)[-1] == "sad"


def test_memory_does_not_grow_with_the_people() -> None:
    moments = Moments()
    for index in range(2000):
        moments.see(event(("happy", 0.9), person=index), index * 1.0)
    assert len(moments._states) <= GONE_AFTER_S + 1


def test_low_confidence_neutral_speech_is_shown_as_neutral() -> None:
    generator = np.random.default_rng(0)
    said = (("neutral", float(share)) for share in generator.uniform(0.35, 0.6, 300))
    found = labels(shown(map(event, said)))
    assert set(found[150:]) == {"neutral"}


def test_an_hour_with_one_modality_is_one_moment() -> None:
    generator = np.random.default_rng(0)
    said = (("sad", float(share)) for share in generator.uniform(0.6, 1.0, 3600))
    found = labels(shown(map(event, said), rate=1.0))
    assert [a for a, b in pairwise(found) if a != b] == [UNCLEAR]
    assert found[-1] == "sad"


def test_modalities_that_contradict_each_other_for_minutes_are_unclear() -> None:
    agreeing = [event(("happy", 0.95), voice=("happy", 0.9), face=("happy", 0.9))] * 50
    torn = [event(("happy", 0.95), voice=("angry", 0.9), face=("happy", 0.9))] * 600
    found = labels(shown([*agreeing, *torn]))
    assert found[49] == "happy" and found[60] == "happy"
    assert set(found[150:]) == {UNCLEAR}
    # The third decides, however unsure, and plain words contradict nobody.
    one = event(("happy", 0.95), voice=("happy", 0.5), face=("happy", 0.9), text=("sad", 0.9))
    assert labels(shown([one] * 50))[-1] == "happy"
    for third in ("happy", "neutral"):
        voice = "angry" if third == "happy" else "neutral"
        one = event(("happy", 0.95), voice=(voice, 0.9), face=("happy", 0.9), text=(third, 0.9))
        assert labels(shown([one] * 50))[-1] == "happy"


def test_what_changed_it_is_the_modality_that_speaks_for_it() -> None:
    calm = event(("neutral", 0.95), face=("neutral", 0.9), voice=("neutral", 0.9))
    loud = event(("angry", 0.95), face=("neutral", 0.5), voice=("angry", 0.9))
    found = shown([*[calm] * 30, *[loud] * 30])
    assert found[0] is not None and found[0].changed_by is None
    assert found[-1] is not None and (found[-1].label, found[-1].changed_by) == ("angry", "voice")


@pytest.mark.parametrize(
    ("said", "fused", "line"),
    [
        (
            {"face": ("happy", 0.87), "voice": ("happy", 0.6), "text": ("sad", 0.5)},
            ("happy", 0.8),
            "mostly the face (87% happy, 0.1 s old); voice agrees; words say sad",
        ),
        ({"text": ("sad", 0.7)}, ("sad", 0.7), "only the words (70% sad, 0.1 s old)"),
        (
            {"voice": ("happy", 0.6), "text": ("sad", 0.5)},
            ("fear", 0.4),
            "none alone says fear: voice says happy; words say sad",
        ),
        ({}, None, None),
    ],
)
def test_why_says_what_carried_the_answer(
    said: dict[ModalityName, Said], fused: Said | None, line: str | None
) -> None:
    assert why(event(fused, **said)) == line


def test_why_is_about_the_moment_that_is_shown() -> None:
    answer = event(("sad", 0.6), voice=("sad", 0.6), face=("happy", 0.8))
    moment = Moment(label="happy", confidence=0.8, since=answer.at, lasts_s=4.0)
    said = why(answer.model_copy(update={"moment": moment}))
    assert said == "mostly the face (80% happy, 0.1 s old); voice says sad"


def test_terminal_and_page_say_the_moment_first_and_why(tmp_path: Path) -> None:
    moments, text = Moments(), io.StringIO()
    view = LiveView(Console(file=text, force_terminal=True, width=80, height=24))
    report, totals = HtmlReport(tmp_path / "report.html"), SummaryBuilder()
    for index in range(150):
        answer = event((("happy", "sad", "angry")[index // 50], 0.95), index / 5)
        answer = answer.model_copy(update={"moment": moments.see(answer, index / 5)})
        answer = answer.model_copy(update={"why": why(answer)})
        totals.add(answer, index / 5, 0.0)
        view.publish(answer)
        report.publish(answer)
    summary = totals.summary("", 30.0)
    view.close(summary)
    report.close(summary)
    page = (tmp_path / "report.html").read_text()
    reason = "only the voice (95% angry, 0.1 s old)"
    assert ">happy, then sad, then angry</h1>" in page
    assert page.index("<h2>Moments</h2>") < page.index("<h2>Timeline</h2>")
    last = text.getvalue().rsplit("mera-edge", 1)[1]
    assert last.index("angry") < last.index(reason) < last.index("now angry 95%")
    assert reason in page
    assert len(last.split("Ctrl-C ends")[0].splitlines()) <= 24
    printed = io.StringIO()
    print_answer(summary, Console(file=printed, width=200))
    assert "Happy, then sad, then angry; the tone is even" in printed.getvalue()
    unsure = SummaryBuilder()
    unsure.add(event(("sad", 0.4)), 0.0, 0.0)
    print_answer(unsure.summary("", 1.0), Console(file=printed, width=200))
    assert "Unclear: at no time sure enough; most likely sad (40%)" in printed.getvalue()


def run(moods: Iterable[str], seconds: int = 10) -> Course:
    """The course of a run of moods, each for a time."""
    moments, found, tick = Moments(), Course(), 0
    for mood in moods:
        for _ in range(5 * seconds):
            answer = event((mood, 0.95), tick / 5)
            update = {"moment": moments.see(answer, tick / 5), "why": why(answer)}
            found.add(answer.model_copy(update=update), tick / 5)
            tick += 1
    return found


def test_the_course_of_a_run_lists_its_moods_in_order() -> None:
    segments = run(["happy", "sad", "angry"]).segments
    assert course(segments) == "happy, then sad, then angry"
    assert [segment.label for segment in segments] == [UNCLEAR, "happy", "sad", "angry"]
    assert all(a.end_s < b.begin_s <= a.end_s + 0.21 for a, b in pairwise(segments))
    assert segments[-1].end_s == pytest.approx(29.8)
    assert segments[-1].why == "only the voice (95% angry, 0.1 s old)"
    assert all(segment.confidence > 0.5 for segment in segments[1:])
    assert course(run(["happy"]).segments) == "happy"
    assert course([]) is None


def test_the_course_of_a_long_run_is_bounded() -> None:
    segments = run(["happy", "sad"] * 80, seconds=4).segments
    assert len(segments) == 100
    assert course(segments) == "happy, then sad, then happy, then sad and 96 more"
