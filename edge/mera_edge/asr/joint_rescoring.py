"""Joint rescoring of the hypotheses of both passes.

A log-linear model (Beyerlein, 1998) over the texts of both and their combinations. The passes make
different errors: one was trained on much general speech, the other on the accents it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher

from mera_edge.asr.alternatives import Alternatives, Words
from mera_edge.asr.decoding.rescoring import combine
from mera_edge.asr.steps import Steps
from mera_edge.metrics.word_error_rate import normalized

BY_STREAMING, BY_WORD = 0.25, -1.0
"""Weight of the streaming pass's score, relative to the decoder's log-probability, and nats per
word (an insertion penalty). Chosen on dev speakers: see docs/results/asr.md."""

Score = Callable[[Words], float]
"""Returns the log-probability of a text under the final pass's decoder."""


def rescored(own: Words, streamed: Alternatives, score: Score) -> Words:
    """Return the best of ``own``, ``streamed`` and the combinations of their parts."""
    return combine(_JointScorer(streamed, score), [own, *streamed.texts])


class _JointScorer:
    def __init__(self, streamed: Alternatives, score: Score) -> None:
        self._streamed, self._score = streamed, score
        self._scores: dict[Words, float] = {}

    def scores_in_steps(self, texts: Iterable[Words]) -> Steps[dict[Words, float]]:
        wanted = dict.fromkeys(texts)
        if new := [words for words in wanted if words not in self._scores]:
            streamed = self._streamed.scores(new)
            for words in new:
                self._scores[words] = (
                    self._score(words) + BY_STREAMING * streamed[words] + BY_WORD * len(words)
                )
                yield
        return {words: self._scores[words] for words in wanted}


def written(words: Words, heard: str) -> str:
    """Return words with the capitals and punctuation that they have in ``heard``, where present."""
    there = heard.split()
    plain = tuple(normalized(word) for word in there)
    text = list(words)
    for begin, at, size in SequenceMatcher(
        None, words, plain, autojunk=False
    ).get_matching_blocks():
        text[begin : begin + size] = there[at : at + size]
    if text:
        text[0] = text[0][:1].upper() + text[0][1:]
        if text[-1][-1].isalnum() and not heard[-1:].isalnum():
            text[-1] += heard[-1:]
    return " ".join(text)
