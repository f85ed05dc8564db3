"""The newest sentence tells the mood of the moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.asr.protocol import Word
from mera_edge.pipeline.transcription import newest_sentence


def said(text: str, pause_s: float = 0.0, each_s: float = 0.3) -> list[Word]:
    """Words one after the other; ``|`` stands for a pause."""
    words, now = [], 0.0
    for part in text.split():
        if part == "|":
            now += pause_s
        else:
            words.append(Word(part, now, now + each_s, 0.9))
            now += each_s
    return words


@pytest.mark.parametrize(
    ("text", "newest"),
    [
        ("I am so happy. How I hate this!", "How I hate this!"),
        ("hello i am happy | how i hate this", "how i hate this"),
        ("how are you", "how are you"),
        ("Stop. Stop.", "Stop."),
        ("你好。 我很生气。", "我很生气。"),
        ("", ""),
    ],
)
def test_it_begins_after_a_stop_or_a_pause(text: str, newest: str) -> None:
    found = newest_sentence(said(text, pause_s=0.8))
    assert " ".join(word.text for word in found) == newest


def test_short_pause_is_no_endpoint() -> None:
    assert len(newest_sentence(said("i was | so happy", pause_s=0.3))) == 4


def test_an_endless_sentence_is_cut_to_its_newest_seconds() -> None:
    words = said(" ".join(["word"] * 100))
    found = newest_sentence(words)
    assert 7.0 < found[-1].end_s - found[0].start_s <= 8.0 + 1e-6


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.floats(0, 3), st.floats(0.05, 9))))
def test_the_newest_sentence_is_the_last_one(parts: list[tuple[str, float, float]]) -> None:
    words, now = [], 0.0
    for text, gap, length in parts:
        words.append(Word(text, now + gap, now + gap + length, 0.5))
        now += gap + length
    found = list(newest_sentence(words))
    assert found == words[len(words) - len(found) :]
    assert bool(found) == bool(words)
