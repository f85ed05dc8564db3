"""Word search: what it finds are the likeliest words, however the sounds come."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.asr.decoding.lexicon import SILENCE, START, Lexicon
from mera_edge.asr.decoding.word_search import WordSearch
from mera_edge.errors import BundleError
from mera_train.asr.lexicon import vocabulary

SAID = {"a": [(1,)], "ab": [(1, 2)], "b": [(2,)], "bee": [(2,)], "abba": [(1, 2, 1), (2, 1)]}
NUMBERS = {word: number for number, word in enumerate(SAID, 1)}
TEXTS = ["a b a", "ab bee", "abba ab a", "b b ab", "strange bee abba", "a b bee"] * 3

sounds = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).gumbel(size=(5, 3)).astype(np.float32) * 2
)


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    path = tmp_path_factory.mktemp("lexicon") / "words.npz"
    np.savez(
        path,
        **vocabulary(SAID, TEXTS),
        phone_weights=np.eye(4, 6, dtype=np.float16),
        phone_bias=np.zeros(6, np.float16),
        log_prior=np.array([0, 0.5, 0], np.float16),
        block=0,
        weight=0.8,
        bonus=0.3,
        by_language=1.5,
        by_unit=4.0,
        by_sound=0.6,
    )
    return Lexicon(path)


def score(lexicon: Lexicon, words: tuple[str, ...]) -> float:
    """What the trigram model and the bonus add."""
    history, total = np.array([START], np.uint64), 0.0
    for word in words:
        said, history = lexicon.advance_ngram(history, np.array([NUMBERS[word]]))
        total += lexicon.weight * float(said[0]) + lexicon.bonus
    return total


def best(lexicon: Lexicon, rows: np.ndarray) -> float:
    """The best score of all paths: whole words, each phone once or more, silence between."""
    rows = rows - rows.max(axis=1, keepdims=True)
    found = rows[:, SILENCE].sum()
    for count in range(1, len(rows) + 1):
        for words in product(SAID, repeat=count):
            for spoken in product(*(SAID[word] for word in words)):
                phones: list[int] = []
                for each in spoken:
                    phones += [*each, SILENCE]
                # What may be left out is silence, which is every phone after a word.
                path = [SILENCE, *phones]
                need = sum(map(len, spoken))
                if need <= len(rows):
                    found = max(found, align(rows, path) + score(lexicon, words))
    return float(found)


def align(rows: np.ndarray, path: list[int]) -> float:
    """The best way to spread ``path`` over the rows, where silences may be left out."""
    scores = np.full(len(path), -np.inf)
    for time, row in enumerate(rows):
        new = np.full(len(path), -np.inf)
        for place, phone in enumerate(path):
            before = [scores[place]]
            if place:
                before.append(scores[place - 1])
            if place > 1 and path[place - 1] == SILENCE:
                before.append(scores[place - 2])
            if time == 0 and place <= 1:
                before.append(0.0)
            new[place] = max(before) + row[phone]
        scores = new
    return float(max(scores[-1], scores[-2]))


@given(sounds)
@settings(max_examples=25, deadline=None)
def test_the_likeliest_of_all_words_are_found(lexicon: Lexicon, rows: np.ndarray) -> None:
    search = WordSearch(lexicon, beam=1000, most=100_000, least=-1000)
    search.accept(rows)
    score, _, state, _ = search._hypotheses
    assert score[state >= lexicon.states].max() == pytest.approx(best(lexicon, rows), abs=1e-3)


@given(sounds, st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_words_do_not_depend_on_chunk_boundaries(
    lexicon: Lexicon, rows: np.ndarray, at: int
) -> None:
    whole, cut = WordSearch(lexicon), WordSearch(lexicon)
    whole.accept(rows)
    cut.accept(rows[:at])
    cut.accept(rows[at:])
    assert cut.words == whole.words
    cut.reset()
    cut.accept(rows)
    assert cut.words == whole.words


def test_unambiguous_phones_give_the_expected_words(lexicon: Lexicon) -> None:
    search = WordSearch(lexicon)
    clear = np.full((12, 3), -8.0, np.float32)
    for time, phone in enumerate([0, 0, 1, 1, 2, 2, 0, 0, 2, 2, 0, 0]):
        clear[time, phone] = 0.0
    search.accept(clear)
    assert search.words in (("ab", "bee"), ("ab", "b"))
    search.reset()
    search.accept(np.log(np.tile([0.9, 0.05, 0.05], (20, 1))).astype(np.float32))
    assert search.words == ()


def test_pronunciations_are_those_of_the_tree(lexicon: Lexicon) -> None:
    for word, spoken in SAID.items():
        assert sorted(lexicon.pronunciations(word)) == sorted(spoken)
    assert lexicon.pronunciations("strange") == []
    assert lexicon.pronunciations("") == []


def test_probabilities_of_words_add_up_to_one(lexicon: Lexicon) -> None:
    words = np.array([*NUMBERS.values()])
    for history in (START, START << 16 | 1, 1 << 16 | 3, 3 << 16 | 3):
        said, after = lexicon.advance_ngram(np.full(len(words), history, np.uint64), words)
        assert 0.5 < np.exp(said).sum() <= 1.01, "the rest is for words without pronunciation"
        assert (after & np.uint64(0xFFFF) == words).all()


def test_phones_are_named_from_the_cache(lexicon: Lexicon) -> None:
    cache = np.random.default_rng(1).normal(size=(2, 3, 2)).astype(np.float32)
    named = lexicon.phone_log_likelihoods(cache, 3)
    assert named.shape == (6, 3)
    shares = np.exp(named + np.array([0, 0.5, 0], np.float32)).sum(axis=1)
    np.testing.assert_allclose(shares, 1, rtol=1e-5)


def test_invalid_lexicon_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.npz").write_bytes(b"no archive")
    with pytest.raises(BundleError, match="not a valid lexicon"):
        Lexicon(tmp_path / "words.npz")
    np.savez(tmp_path / "other.npz", words=np.zeros(3))
    with pytest.raises(BundleError, match="not a valid lexicon"):
        Lexicon(tmp_path / "other.npz")
