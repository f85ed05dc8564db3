"""Prefix beam search: what it finds is the likeliest text, however the frames come."""

from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.asr.decoding.ctc import BLANK, Greedy
from mera_edge.asr.decoding.ngram_lm import START, LanguageModel, pack_context
from mera_edge.asr.decoding.prefix_beam import PrefixBeam
from mera_edge.errors import BundleError

scores = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).gumbel(size=(6, 3)).astype(np.float32)
)


def normalised(values: np.ndarray) -> np.ndarray:
    return values - np.logaddexp.reduce(values, axis=1, keepdims=True)


def texts(values: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every text that the frames can be, with its log-probability: all paths added up."""
    found: dict[tuple[int, ...], float] = {}
    for path in product(range(values.shape[1]), repeat=len(values)):
        text = tuple(unit for unit, _ in groupby(path) if unit != BLANK)
        chance = float(sum(row[unit] for row, unit in zip(values, path, strict=True)))
        found[text] = np.logaddexp(found.get(text, -np.inf), chance)
    return found


def read(search: PrefixBeam | Greedy) -> tuple[int, ...]:
    return tuple(token.symbol for token in search.tokens)


def model(path: Path, weight: float = 1.0, bonus: float = 0.0) -> Path:
    """After 1 comes 2 with 0.9; else both have 0.5."""
    np.savez(
        path,
        contexts=np.array([pack_context(()), pack_context((1,))], np.uint64),
        begins=np.array([0, 2, 3], np.int32),
        units=np.array([1, 2, 2], np.uint8),
        log_probabilities=np.log([0.5, 0.5, 0.9]).astype(np.float16),
        backoffs=np.array([0, np.log(0.2)], np.float16),
        weight=weight,
        bonus=bonus,
    )
    return path


@given(scores)
@settings(max_examples=60, deadline=None)
def test_the_likeliest_of_all_texts_is_found(values: np.ndarray) -> None:
    values = normalised(values)
    search = PrefixBeam(beam=1000)
    search.accept(values)
    every = texts(values)
    assert every[read(search)] == pytest.approx(max(every.values()), abs=1e-4)


@given(scores)
@settings(max_examples=30, deadline=None)
def test_with_a_language_model_the_best_sum_is_found(values: np.ndarray) -> None:
    values = normalised(values)
    path = model(Path("/tmp") / "unused.npz")
    language = LanguageModel(path, 3)
    search = PrefixBeam(beam=1000, language_model=language)
    search.accept(values)

    def total(text: tuple[int, ...], chance: float) -> float:
        before = (START, *text)
        return chance + sum(language.score(before[i : i + 1], u) for i, u in enumerate(text))

    sums = {text: total(text, chance) for text, chance in texts(values).items()}
    assert sums[read(search)] == pytest.approx(max(sums.values()), abs=1e-3)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 9), max_size=8),
    st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_tokens_do_not_depend_on_chunk_boundaries(seed: int, cuts: list[int], beam: int) -> None:
    values = np.random.default_rng(seed).gumbel(size=(40, 9)).astype(np.float32) * 2
    values = normalised(values)
    once, pieces = PrefixBeam(beam), PrefixBeam(beam)
    once.accept(values)
    for piece in np.split(values, np.cumsum(cuts)):
        pieces.accept(piece)
    assert once.tokens == pieces.tokens
    assert once.frames == pieces.frames == 40
    frames = [(token.first, token.last) for token in once.tokens]
    assert all(0 <= first <= last < 40 for first, last in frames)
    once.reset()
    assert once.tokens == [] and once.frames == 0


def test_beam_search_equals_greedy_search_for_confident_outputs() -> None:
    values = np.full((8, 4), -9.0, np.float32)
    values[np.arange(8), [0, 2, 2, 0, 2, 1, 1, 0]] = -0.001
    search, greedy = PrefixBeam(), Greedy()
    search.accept(values)
    greedy.accept(values)
    assert [(t.symbol, t.first, t.last) for t in search.tokens] == [
        (t.symbol, t.first, t.last) for t in greedy.tokens
    ]


def test_only_complete_hot_words_are_boosted() -> None:
    rows = [[0.02, 0.5, 0.48], [0.9, 0.05, 0.05], [0.01, 0.01, 0.98]]
    for hot, wanted in (((2, 2), (2, 2)), ((2, 1), (1, 2)), ((), (1, 2))):
        search = PrefixBeam(hot_words=[hot], boost=1.0)
        search.accept(np.log(np.array(rows, np.float32)))
        assert read(search) == wanted


def test_language_model_backs_off_and_rejects_invalid_files(tmp_path: Path) -> None:
    path = model(tmp_path / "lm.npz", weight=2.0, bonus=0.5)
    language = LanguageModel(path, 3)
    assert np.exp(language.log_probabilities((1,)))[1:] == pytest.approx([0.1, 0.9], abs=1e-3)
    assert np.exp(language.log_probabilities((2,)))[1:] == pytest.approx([0.5, 0.5], abs=1e-3)
    assert language.score((1,), 2) == pytest.approx(2 * np.log(0.9) + 0.5, abs=1e-2)
    assert language.after((START,), 2) == (2,)
    with pytest.raises(BundleError, match="units that differ"):
        LanguageModel(path, 2)
    path.write_bytes(b"PK")
    with pytest.raises(BundleError, match="not a valid language model"):
        LanguageModel(path, 3)
