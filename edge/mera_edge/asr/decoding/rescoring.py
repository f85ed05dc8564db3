"""Rescoring: combines the hypotheses of unit search and word search when an utterance ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Words
from mera_edge.asr.decoding.ctc import Token
from mera_edge.asr.decoding.hypothesis_scorer import HypothesisScorer, RescoringModels
from mera_edge.asr.decoding.word_search import WordSearch
from mera_edge.asr.steps import Steps, finish

_ROUNDS = 3
_SOUNDS_A_STEP = 4
_ALTERNATIVES = 4
"""Hypotheses of the first pass that the final pass gets; further ones are nearly the same."""


class Rescoring:
    """Runs the word search in parallel with the first pass, and rescores the hypotheses of both,
    and combinations of them, when the utterance ends.

    The word search is not needed before that, so it runs a few phone frames at a time.

    Args:
        models: the models for search and scoring.

    Attributes:
        alternatives: for the final pass; set by `decide`.
    """

    def __init__(self, models: RescoringModels) -> None:
        self.alternatives: _Alternatives | None = None
        self._models = models
        self._search = WordSearch(models.lexicon)
        self._units: list[NDArray[np.float32]] = []
        self._sounds: list[NDArray[np.float32]] = []
        self._waiting: list[NDArray[np.float32]] = []

    def accept(self, units: NDArray[np.float32], cache: NDArray[np.float32]) -> None:
        """Buffer the next frames.

        Args:
            units: log-probabilities ``[n, classes]``.
            cache: the attention cache ``[blocks, heads, frames, 2 d/heads]``, newest frames last.
        """
        lexicon = self._models.lexicon
        sounds = lexicon.phone_log_likelihoods(cache[lexicon.block], len(units))
        self._units.append(units)
        self._sounds.append(sounds)
        self._waiting.extend(sounds)

    def search(self, sounds: int, behind: int = 0) -> None:
        """Process up to ``sounds`` buffered phone frames, but not the last ``behind``."""
        sounds = min(sounds, len(self._waiting) - behind)
        if sounds > 0:
            self._search.accept(np.stack(self._waiting[:sounds]))
            del self._waiting[:sounds]

    def decide(self, texts: Sequence[Words]) -> Steps[list[Token]]:
        """Return the units of the utterance, given the first pass's hypotheses ``texts``."""
        if not self._units:
            return []
        while self._waiting:
            self.search(_SOUNDS_A_STEP)
            yield
        units, sounds = np.concatenate(self._units), np.concatenate(self._sounds)
        scorer = HypothesisScorer(self._models, units, sounds)
        best = yield from combine_in_steps(scorer, [*texts, self._search.words])
        found = dict.fromkeys([best, *texts[:_ALTERNATIVES], self._search.words])
        self.alternatives = _Alternatives(tuple(found), scorer, self._models.symbols)
        return scorer.tokens(best)


class _Alternatives:
    """See `mera_edge.asr.alternatives.Alternatives`."""

    def __init__(
        self, texts: tuple[Words, ...], scorer: HypothesisScorer, symbols: Sequence[str]
    ) -> None:
        self.texts, self._scorer = texts, scorer
        self._letters = frozenset(symbol for symbol in symbols if len(symbol) == 1)

    def scores(self, texts: Iterable[Words]) -> dict[Words, float]:
        wanted = tuple(texts)
        found = self._scorer.scores(t for t in wanted if self._letters.issuperset("".join(t)))
        return {text: found.get(text, -math.inf) for text in wanted}


class Scorer(Protocol):
    """Scores hypotheses."""

    def scores_in_steps(self, texts: Iterable[Words]) -> Steps[dict[Words, float]]:
        """Return a score for each of ``texts``; higher is better."""


def combine(scorer: Scorer, texts: Sequence[Words]) -> Words:
    """Return the best of ``texts`` after replacing parts by other texts' while the score rises."""
    return finish(combine_in_steps(scorer, texts))


def combine_in_steps(scorer: Scorer, texts: Sequence[Words]) -> Steps[Words]:
    """Like `combine`, in steps."""
    best = yield from _best(scorer, texts)
    for _ in range(_ROUNDS):
        exchanged: dict[_Part, Words] = {}
        for text in texts:
            exchanged |= {part: _exchanged(best, [part]) for part in _differences(best, text)}
            yield
        scores = yield from scorer.scores_in_steps([best, *exchanged.values()])
        better = sorted(
            (part for part, text in exchanged.items() if scores[text] > scores[best]),
            key=lambda part: (-scores[exchanged[part]], part),
        )
        if not better:
            break
        chosen: list[_Part] = []
        for part in better:
            if all(part[1] < other[0] or part[0] > other[1] for other in chosen):
                chosen.append(part)
        # Replacements that improve the score one by one need not do so together.
        best = yield from _best(scorer, [_exchanged(best, chosen), exchanged[better[0]]])
    return best


def _best(scorer: Scorer, texts: Sequence[Words]) -> Steps[Words]:
    scores = yield from scorer.scores_in_steps(texts)
    return max(texts, key=scores.__getitem__)


_Part = tuple[int, int, Words]
"""Words ``a`` to ``b`` of a text, and their replacement."""


def _differences(text: Words, other: Words) -> list[_Part]:
    same = SequenceMatcher(None, text, other, autojunk=False)
    return [(a, b, other[c:d]) for kind, a, b, c, d in same.get_opcodes() if kind != "equal"]


def _exchanged(text: Words, parts: Sequence[_Part]) -> Words:
    for a, b, words in sorted(parts, reverse=True):
        text = text[:a] + words + text[b:]
    return text
