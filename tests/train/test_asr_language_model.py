"""The n-gram model: what it says of all units adds up to one, and it says what texts say."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.asr.decoding.ngram_lm import START, LanguageModel
from mera_train.asr.language_model import estimate

corpora = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=9), min_size=1, max_size=30)


def model(path: Path, texts: list[list[int]], **how: int) -> LanguageModel:
    np.savez(path, **estimate(texts, 6, **how), weight=1.0, bonus=0.0)
    return LanguageModel(path, 6)


@given(corpora, st.integers(1, 2), st.lists(st.integers(1, 5), max_size=4))
@settings(max_examples=60, deadline=None)
def test_all_units_add_up_to_one(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[int]],
    fewest: int,
    context: list[int],
) -> None:
    path = tmp_path_factory.mktemp("lm") / "lm.npz"
    language = model(path, texts, order=4, fewest=fewest)
    for start in ((), (START,)):
        shares = np.exp(language.log_probabilities((*start, *context)[-3:]))[1:]
        assert shares.sum() == pytest.approx(1, abs=0.02), "half precision"


def test_frequent_continuations_are_likelier(tmp_path: Path) -> None:
    language = model(tmp_path / "lm.npz", [[1, 2, 3], [1, 2, 4], [1, 2, 3], [5, 2, 1]] * 5)
    begins = np.exp(language.log_probabilities((START,)))
    assert begins[1] > 0.6 > 0.3 > begins[5] > begins[2]
    after = np.exp(language.log_probabilities((START, 1, 2)))
    assert after[3] > after[4] > after[1]


def test_rare_ngrams_are_pruned_to_the_size_limit() -> None:
    texts = [[1, 2, 3, 4], [1, 2, 3, 5]] * 4 + [[5, 4, 3], [4, 4, 4]] * 2
    whole, small = estimate(texts, 6), estimate(texts, 6, most=4)
    assert len(whole["units"]) > len(small["units"])
    two = estimate(texts, 6, order=2)
    assert len(small["units"]) <= len(two["units"]) + 4
