"""The second pass: scores are what they are said to be, and what is put together is no worse."""

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.asr.decoding.ctc import BLANK, ctc_forced_alignment, ctc_viterbi_scores
from mera_edge.asr.decoding.hypothesis_scorer import UNKNOWN, HypothesisScorer, RescoringModels
from mera_edge.asr.decoding.lexicon import SILENCE, Lexicon
from mera_edge.asr.decoding.ngram_lm import START, LanguageModel
from mera_edge.asr.decoding.rescoring import Rescoring, combine
from mera_edge.asr.decoding.subwords import words
from mera_edge.asr.steps import Resumable, finish
from mera_train.asr.lexicon import vocabulary
from mera_train.asr.ngrams import estimate

SYMBOLS = ["<blk>", "▁a", "▁b", "a", "b"]
SAID = {"a": [(1,)], "ab": [(1, 2)], "b": [(2,)], "ba": [(2, 1), (2,)]}
TEXTS = ["a b a", "ab ba", "ba ab a", "b b ab"] * 3

seeds = st.integers(0, 2**32 - 1)
texts = st.lists(st.sampled_from([*SAID, "bb"]), max_size=3).map(tuple)


def normalised(shape: tuple[int, int], seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).gumbel(size=shape).astype(np.float32) * 2
    return values - np.logaddexp.reduce(values, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> RescoringModels:
    directory = tmp_path_factory.mktemp("models")
    np.savez(
        directory / "words.npz",
        **vocabulary(SAID, TEXTS),
        phone_weights=np.eye(4, 6, dtype=np.float16),
        phone_bias=np.zeros(6, np.float16),
        log_prior=np.zeros(3, np.float16),
        block=1,
        weight=0.8,
        bonus=0.3,
        by_language=1.5,
        by_unit=2.0,
        by_sound=0.6,
    )
    units = [[1, 2, 1], [1, 4, 2, 3], [2, 2, 1, 4]] * 3
    path = directory / "language_model.npz"
    np.savez(path, **estimate(units, len(SYMBOLS)), weight=1.0, bonus=0.0)
    return RescoringModels(
        Lexicon(directory / "words.npz"), LanguageModel(path, len(SYMBOLS)), SYMBOLS
    )


@given(seeds, st.lists(st.integers(1, 2), max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_best_of_all_paths_is_found(seed: int, units: list[int]) -> None:
    rows = normalised((5, 3), seed)
    best, found = ctc_viterbi_scores(rows, [units])[0], ctc_forced_alignment(rows, units)
    paths = [
        path
        for path in product(range(3), repeat=5)
        if [unit for unit, _ in groupby(path) if unit != BLANK] == units
    ]
    scores = [sum(rows[np.arange(5), path]) for path in paths]
    assert best == pytest.approx(max(scores, default=-np.inf), abs=1e-4)
    assert [token.symbol for token in found] == (units if paths else [])
    spans = [(token.first, token.last) for token in found]
    assert spans == sorted(spans) and all(first <= last < 5 for first, last in spans)
    assert all(0 < token.confidence <= 1 for token in found)


@given(seeds, texts)
@settings(max_examples=60, deadline=None)
def test_text_score_sums_units_language_model_and_phones(
    models: RescoringModels, seed: int, text: tuple[str, ...]
) -> None:
    units, sounds = normalised((6, 5), seed), normalised((6, 3), seed + 1)
    # a, ab, b, ba and bb are spelled as a pair of units each, or as one.
    spelled = [SYMBOLS.index(s) for word in text for s in ("▁" + word[0], *word[1:])]
    before, language = (START, *spelled), 0.0
    for place, unit in enumerate(spelled):
        scores = models.language_model.log_probabilities(before[: place + 1])
        language += float(scores[unit])
    sound = max(
        heard(sounds - sounds.max(axis=1, keepdims=True), spoken)
        for spoken in product(*(SAID.get(word, [None]) for word in text))
    )
    expected = (
        ctc_viterbi_scores(units, [spelled])[0] + 1.5 * language + 2.0 * len(spelled) + 0.6 * sound
    )
    found = HypothesisScorer(models, units, sounds).scores([text])[text]
    if expected > -1e6:
        assert found == pytest.approx(expected, abs=1e-3)
    else:
        assert found < -1e6


def heard(rows: np.ndarray, spoken: tuple[tuple[int, ...] | None, ...]) -> float:
    """The best way to say words: each phone a row or more, silence between; None: any sounds."""
    ends = np.concatenate([[0], rows[:, SILENCE].cumsum()])
    for word in spoken:
        for phone in word or (None,):
            costs = rows[:, phone] if phone is not None else np.full(len(rows), UNKNOWN)
            ends = later(ends, costs, 1)
        ends = later(ends, rows[:, SILENCE], 0)
    return float(ends[-1])


def later(ends: np.ndarray, costs: np.ndarray, least: int) -> np.ndarray:
    return np.array(
        [
            max((ends[s] + costs[s:e].sum() for s in range(e - least + 1)), default=-1e9)
            for e in range(len(ends))
        ]
    )


@given(seeds, st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_recombined_hypothesis_is_no_worse_than_its_parts(
    models: RescoringModels, seed: int, found: list[tuple[str, ...]]
) -> None:
    scorer = HypothesisScorer(models, normalised((8, 5), seed), normalised((16, 3), seed + 1))
    best = combine(scorer, found)
    assert scorer.scores([best])[best] >= max(scorer.scores(found).values()) - 1e-9
    assert set(best) <= {word for text in found for word in text}
    assert combine(scorer, found) == best


@given(seeds, st.lists(st.integers(1, 5), max_size=4), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_rescoring_does_not_depend_on_chunk_boundaries(
    models: RescoringModels, seed: int, cuts: list[int], at_once: int
) -> None:
    units = normalised((9, 5), seed)
    cache = np.random.default_rng(seed).normal(size=(2, 2, 9, 2)).astype(np.float32) * 3
    given_texts = [("a", "b"), ("ba",)]
    whole, pieces = Rescoring(models), Rescoring(models)
    whole.accept(units, cache)
    decided = finish(whole.decide(given_texts))
    assert words([token.symbol for token in decided], SYMBOLS)
    for part in np.split(np.arange(9), np.cumsum(cuts)):
        if len(part):
            pieces.accept(units[part], cache[:, :, part])
        pieces.search(at_once)
    bit_by_bit, found = Resumable(pieces.decide(given_texts)), None
    while found is None:
        found = bit_by_bit.advance(0.0)
    assert found == decided
    assert finish(Rescoring(models).decide([()])) == []


def test_without_a_pronunciation_a_word_can_still_be_said(models: RescoringModels) -> None:
    scorer = HypothesisScorer(models, normalised((4, 5), 1), normalised((8, 3), 2))
    assert np.isfinite(scorer.scores([("bb",)])[("bb",)])
    assert [SYMBOLS[token.symbol] for token in scorer.tokens(("bb", "a"))] == ["▁b", "b", "▁a"]
