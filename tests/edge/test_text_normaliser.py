"""The text normaliser: the same for training and device, whatever it is given."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.features.text import LONGEST, normalise

ANYTHING = st.one_of(
    st.text(),
    st.text(st.characters(), max_size=30).map(lambda text: text * 90),
    st.text(alphabet="@a-/wW.htps:'’`´ İß\u0301\u0345ﬁ\u200dⅧ①\ud800\x00\n"),
)


@given(ANYTHING)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(ANYTHING)
def test_the_result_is_short_single_spaced_and_printable(text: str) -> None:
    result = normalise(text)
    assert len(result) <= LONGEST
    assert result == " ".join(result.split())
    assert not any(unicodedata.category(character)[0] == "C" for character in result)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz' ", max_size=200))
def test_what_a_recognizer_prints_stays_as_it_is(text: str) -> None:
    words = [word for word in text.split() if not any(3 * c + c in word for c in word)]
    assert normalise(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("I’m SOOOOOO happy!!!!!", "i'm sooo happy!!!"),
        ("ＨＥＬＬＯ　Ｗｏｒｌｄ", "hello world"),
        ("我好开心\u200b\n呀", "我好开心 呀"),
        ("look @some_one: https://example.org/a?b=1 now", "look @ : now"),
        ("ﬁne\x00\x1b", "fine"),
        ("\ud800", ""),
        ("", ""),
        (" \t\r\n", ""),
        ("😂😂😂😂😂", "😂😂😂"),
    ],
)
def test_examples(written: str, read: str) -> None:
    assert normalise(written) == read


def test_a_long_text_is_cut_to_its_last_words() -> None:
    assert normalise("sad " * 50_000 + "at last glad").endswith("sad at last glad")
