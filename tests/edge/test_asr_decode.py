"""Greedy decoding does not depend on how the stream is cut; error rates agree with jiwer."""

from itertools import groupby

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mera_edge.asr.decoding.ctc import BLANK, Greedy
from mera_edge.errors import InputError
from mera_edge.metrics.word_error_rate import word_error_rate

PATHS = st.lists(st.integers(0, 4), max_size=60)
WORDS = st.lists(st.sampled_from(["a", "be", "sea", "bee"]), max_size=8).map(" ".join)


def peaked(path: list[int], confidence: float = 0.9) -> NDArray[np.float32]:
    """Log-probabilities whose best classes are ``path``."""
    scores = np.full((len(path), 5), np.log((1 - confidence) / 4), np.float32)
    scores[np.arange(len(path)), path] = np.log(confidence)
    return scores


@given(PATHS, st.lists(st.integers(0, 60), max_size=8))
def test_chunked_equals_whole(path: list[int], cuts: list[int]) -> None:
    greedy = Greedy()
    for part in np.split(peaked(path), sorted(min(cut, len(path)) for cut in cuts)):
        greedy.accept(part)
    runs = [symbol for symbol, _ in groupby(path) if symbol != BLANK]
    assert [token.symbol for token in greedy.tokens] == runs
    for token in greedy.tokens:
        assert set(path[token.first : token.last + 1]) == {token.symbol}
        assert token.confidence == pytest.approx(0.9)


def test_a_unit_on_the_edge_of_two_chunks_is_one_unit() -> None:
    greedy = Greedy()
    greedy.accept(peaked([0, 3, 3], 0.6))
    greedy.accept(peaked([3, 0, 3], 0.8))
    assert [(t.symbol, t.first, t.last) for t in greedy.tokens] == [(3, 1, 3), (3, 5, 5)]
    assert greedy.tokens[0].confidence == pytest.approx(0.8)


def test_reset_forgets_the_last_symbol() -> None:
    greedy = Greedy()
    greedy.accept(peaked([2]))
    greedy.reset()
    greedy.accept(peaked([2]))
    assert [(t.symbol, t.first) for t in greedy.tokens] == [(2, 0)]


@given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=5))
def test_error_rates_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = map(list, zip(*pairs, strict=True))
    rates = word_error_rate(references, hypotheses)
    assert rates["wer"] == pytest.approx(jiwer.wer(references, hypotheses))
    assert rates["cer"] == pytest.approx(jiwer.cer(references, hypotheses))


def test_a_script_without_spaces_is_counted_by_characters() -> None:
    rates = word_error_rate(["我很高兴", "你 好"], ["我很高", "你好"])
    assert rates["wer"] == rates["cer"] == pytest.approx(1 / 6), "spaces in it say nothing"
    assert (rates["words"], rates["counts"]) == (6, "characters")
    mixed = word_error_rate(["我 like it"], ["我like you"])
    assert (mixed["wer"], mixed["counts"]) == (pytest.approx(1 / 3), "words and characters")
    assert word_error_rate(["hello"], ["hello"])["counts"] == "words"


@pytest.mark.parametrize(("references", "hypotheses"), [([], []), ([""], ["a"]), (["a"], [])])
def test_nothing_to_compare_is_an_error(references: list[str], hypotheses: list[str]) -> None:
    with pytest.raises(InputError):
        word_error_rate(references, hypotheses)
