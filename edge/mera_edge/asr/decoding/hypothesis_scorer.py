"""Hypothesis scores: CTC units, phones and language model combined.

A *sound* here is a phone frame of 40 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Words
from mera_edge.asr.decoding.ctc import Token, ctc_forced_alignment, ctc_viterbi_scores_in_steps
from mera_edge.asr.decoding.lexicon import SILENCE, Lexicon
from mera_edge.asr.decoding.ngram_lm import START, Context, LanguageModel
from mera_edge.asr.decoding.subwords import bpe_encode
from mera_edge.asr.steps import Steps, finish

UNKNOWN = -1.0
"""Nats per phone frame of a word without a pronunciation."""
_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class RescoringModels:
    """The models for rescoring.

    Args:
        lexicon: pronunciations, and the weights of the scores.
        language_model: an n-gram model over units.
        symbols: the units.
    """

    lexicon: Lexicon
    language_model: LanguageModel
    symbols: list[str]


@dataclass(frozen=True, slots=True)
class _Text:
    """``ends [sounds + 1]``: log-likelihood of its phones if they end before each phone frame."""

    units: tuple[int, ...]
    context: Context
    language: float
    ends: NDArray[np.float64]


class HypothesisScorer:
    """Scores the hypotheses for one utterance.

    The score of a text is a log-linear model (Beyerlein, 1998), the sum of: the log-probability of
    the best CTC path of its units; ``by_language`` times their language model log-probability;
    ``by_unit`` per unit; ``by_sound`` times the log-likelihood of its phones, with optional silence
    after every word. The weights come from the lexicon.

    Args:
        units: log-probabilities ``[frames, classes]``.
        sounds: scaled log-likelihoods ``[sounds, phones]``.
    """

    def __init__(
        self, models: RescoringModels, units: NDArray[np.float32], sounds: NDArray[np.float32]
    ) -> None:
        self._lexicon, self._model = models.lexicon, models.language_model
        self._spell = lru_cache(None)(lambda word: bpe_encode(word, models.symbols))
        self._spoken = lru_cache(None)(models.lexicon.pronunciations)
        self._units = units
        relative = (sounds - sounds.max(axis=1, keepdims=True)).astype(np.float64)
        self._so_far = np.concatenate([np.zeros((1, sounds.shape[1])), relative.cumsum(axis=0)]).T
        self._texts: dict[Words, _Text] = {(): _Text((), (START,), 0.0, self._so_far[SILENCE])}
        self._scores: dict[Words, float] = {}

    def scores(self, texts: Iterable[Words]) -> dict[Words, float]:
        """Return the score of each of ``texts``, in nats."""
        return finish(self.scores_in_steps(texts))

    def scores_in_steps(self, texts: Iterable[Words]) -> Steps[dict[Words, float]]:
        """Like `scores`, in steps."""
        wanted = dict.fromkeys(texts)
        if new := [words for words in wanted if words not in self._scores]:
            lexicon, known = self._lexicon, []
            for words in new:
                known.append((yield from self._text(words)))
            units = [text.units for text in known]
            spelled = yield from ctc_viterbi_scores_in_steps(self._units, units)
            for words, text, score in zip(new, known, spelled, strict=True):
                self._scores[words] = (
                    float(score)
                    + lexicon.by_language * text.language
                    + lexicon.by_unit * len(text.units)
                    + lexicon.by_sound * float(text.ends[-1])
                )
        return {words: self._scores[words] for words in wanted}

    def tokens(self, words: Words) -> list[Token]:
        """Return the units of ``words``, aligned to frames."""
        return ctc_forced_alignment(self._units, finish(self._text(words)).units)

    def _text(self, words: Words) -> Steps[_Text]:
        known = next(n for n in range(len(words), -1, -1) if words[:n] in self._texts)
        text = self._texts[words[:known]]
        for end in range(known + 1, len(words) + 1):
            text = self._texts[words[:end]] = self._longer(text, words[end - 1])
            yield
        return text

    def _longer(self, before: _Text, word: str) -> _Text:
        units, context, language = self._spell(word), before.context, before.language
        for unit in units:
            language += float(self._model.log_probabilities(context)[unit])
            context = self._model.after(context, unit)
        ends = _advance(self._sound(word, before.ends), self._so_far[SILENCE], 0)
        return _Text(before.units + units, context, language, ends)

    def _sound(self, word: str, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``ends`` after a word, given those before it; see `_Text`."""
        spoken = self._spoken(word)
        if not spoken:
            return _advance(ends, UNKNOWN * np.arange(len(ends), dtype=np.float64), 1)
        best = np.full(len(ends), _NEVER)
        for phones in spoken:
            now = ends
            for phone in phones:
                now = _advance(now, self._so_far[phone], 1)
            best = np.maximum(best, now)
        return best


def _advance(
    ends: NDArray[np.float64], so_far: NDArray[np.float64], least: int
) -> NDArray[np.float64]:
    """Append a phone that lasts at least ``least`` (0 or 1) phone frames.

    Args:
        so_far: cumulative log-likelihood of the phone, before each phone frame.
    """
    begun = np.maximum.accumulate(ends - so_far)
    if not least:
        return np.asarray(begun + so_far)
    return np.concatenate([[_NEVER], begun[:-1] + so_far[1:]])
