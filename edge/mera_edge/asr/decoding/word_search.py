"""Word search: the most likely words, given phone likelihoods and pronunciations.

A *sound* here is a phone frame of 40 ms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.decoding.lexicon import SILENCE, START, Lexicon


class _Hypotheses(NamedTuple):
    """Hypotheses as parallel arrays ``[n]``; a structured array would take twice the time.

    Attributes:
        history: the last two words.
        state: inside a word, its node in the tree; after a word, while its last phone continues,
            that plus the number of nodes; in silence, twice the number of nodes.
        heard: index of the last entry in the backtrace of words.
    """

    score: NDArray[np.float64]
    history: NDArray[np.uint64]
    state: NDArray[np.intp]
    heard: NDArray[np.intp]

    def take(self, rows: NDArray[np.intp]) -> _Hypotheses:
        """Return some of them."""
        return _Hypotheses._make(column.take(rows) for column in self)


class WordSearch:
    """Time-synchronous Viterbi search through a pronunciation prefix tree (Ney et al., 1992).

    A phone lasts at least one phone frame (40 ms); silence may follow a word. Language model
    look-ahead applies the score of the most likely word from its first phone on. The state changes
    only per phone frame, so the words do not depend on the chunking.

    Args:
        lexicon: pronunciations and word trigram model.
        beam: largest difference of a hypothesis from the best, in nats.
        most: maximum number of hypotheses.
        least: minimum log-likelihood of a phone's first frame, relative to the best phone's.
    """

    def __init__(
        self, lexicon: Lexicon, beam: float = 11.0, most: int = 250, least: float = -7.0
    ) -> None:
        self._lexicon = lexicon
        self._beam, self._most, self._least = beam, most, least
        self._phone = lexicon.sounds
        self._start = _Hypotheses(
            score=np.zeros(1),
            history=np.array([START], np.uint64),
            state=np.array([2 * lexicon.states]),
            heard=np.zeros(1, np.intp),
        )
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._hypotheses = self._start
        # Backtrace: index of the previous entry, and the word.
        self._heard: list[tuple[int, int]] = [(0, 0)]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the best hypothesis so far."""
        entry = int(self._hypotheses.heard[self._hypotheses.score.argmax()])
        found: list[str] = []
        while entry:
            entry, word = self._heard[entry]
            found.append(self._lexicon.words[word])
        return tuple(found[::-1])

    def accept(self, likelihoods: NDArray[np.float32]) -> None:
        """Process the log-likelihoods ``[n, phones]`` of the next phone frames."""
        for row in likelihoods:
            self._step((row - row.max()).astype(np.float64))

    def _step(self, row: NDArray[np.float64]) -> None:
        nodes, silent = self._lexicon.states, 2 * self._lexicon.states
        before = self._hypotheses
        stay = before._replace(score=before.score + row[self._phone[before.state]])
        between = before.state >= nodes
        hush = before.take(np.flatnonzero(between & (before.state < silent)))
        hush = hush._replace(
            score=hush.score + row[SILENCE], state=np.full_like(hush.state, silent)
        )
        least = float(stay.score.max()) - self._beam
        inside, ended, entries = self._extend(row, before, between, least)
        everyone = zip(stay, hush, inside, ended, strict=True)
        self._hypotheses = self._best(_Hypotheses._make(map(np.concatenate, everyone)))
        heard = self._hypotheses.heard
        for index in np.flatnonzero(heard < 0):
            self._heard.append(entries[-1 - heard[index]])
            heard[index] = len(self._heard) - 1

    def _extend(
        self,
        row: NDArray[np.float64],
        before: _Hypotheses,
        between: NDArray[np.bool_],
        least: float,
    ) -> tuple[_Hypotheses, _Hypotheses, list[tuple[int, int]]]:
        """Extend hypotheses by one phone.

        Returns:
            Hypotheses inside words, hypotheses at the end of a word, and the latter's entries for
            the backtrace.
        """
        lexicon, nodes = self._lexicon, self._lexicon.states
        place = np.where(between, 0, before.state)
        of, child = _spread(lexicon.children, place)
        heard = row[self._phone[child]]
        score = before.score[of] + heard
        score += lexicon.weight * (lexicon.ahead[child] - lexicon.ahead[place[of]])
        possible = np.flatnonzero((heard >= self._least) & (score >= least))
        child = child[possible]
        new = before.take(of[possible])._replace(score=score[possible], state=child)
        inner = new.take(np.flatnonzero(lexicon.children[child + 1] > lexicon.children[child]))
        of, place = _spread(lexicon.ends, child)
        word, ended = lexicon.endings[place], new.take(of)
        said, history = lexicon.advance_ngram(ended.history, word)
        said -= lexicon.ahead[ended.state]
        score = ended.score + (lexicon.weight * said + lexicon.bonus)
        possible = np.flatnonzero(score >= least)
        word, heard = word[possible], ended.heard[possible]
        entries = list(zip(heard.tolist(), word.tolist(), strict=True))
        ended = _Hypotheses(
            score=score[possible],
            history=history[possible],
            state=ended.state[possible] + nodes,
            # Negative: index into `entries`, which are added to the backtrace only if they survive.
            heard=-1 - np.arange(len(possible)),
        )
        return inner, ended, entries

    def _best(self, everyone: _Hypotheses) -> _Hypotheses:
        """Recombine hypotheses with the same history and state, and prune the rest to the beam."""
        score = everyone.score
        least = score.max() - self._beam
        if len(score) > self._most:
            least = max(least, np.partition(score, -self._most)[-self._most])
        kept = everyone.take(np.flatnonzero(score >= least))
        kept = kept.take(np.argsort(-kept.score, kind="stable"))
        future = kept.history << np.uint64(24) | kept.state.astype(np.uint64)
        order = future.argsort(kind="stable")
        future = future[order]
        first = np.concatenate([[True], future[1:] != future[:-1]])
        return kept.take(order[first])


def _spread(
    begins: NDArray[np.integer], rows: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Enumerate the elements of rows in CSR format.

    Returns:
        For each element, the index into ``rows`` and its position in the data.
    """
    first = begins[rows].astype(np.intp)
    count = begins[rows + 1] - first
    of = np.repeat(np.arange(len(rows)), count)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(count) - count - first, count)
