"""Word search: the likeliest words whose pronunciations are what the phones sound like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.decoding.lexicon import SILENCE, START, Lexicon

_HYPOTHESIS = np.dtype(
    [
        ("score", np.float64),
        ("history", np.uint64),
        ("state", np.int32),
        ("heard", np.int32),
    ]
)
"""``state``: a node of the tree inside a word; that plus the number of nodes where a word has ended
and its last phone goes on; twice the number of nodes in silence. ``heard``: the newest entry of the
words before."""


class WordSearch:
    """Time-synchronous Viterbi search through a tree of pronunciations (Ney et al., 1992).

    A phone lasts one sound (40 ms) or more; silence may follow a word. What the trigram model says
    of the likeliest word that is still possible counts from the first phone on. All state changes
    with a sound, so that however the sounds are cut, the words are the same.

    Args:
        lexicon: what words sound like.
        beam: nats that a hypothesis may be worse than the best.
        most: hypotheses that are kept.
        least: log-likelihood, against the best phone's, with which a phone may begin.
    """

    def __init__(
        self, lexicon: Lexicon, beam: float = 11.0, most: int = 250, least: float = -7.0
    ) -> None:
        self._lexicon = lexicon
        self._beam, self._most, self._least = beam, most, least
        silent = 2 * lexicon.states
        self._phone = np.concatenate([lexicon.phones, lexicon.phones, [SILENCE]])
        self._phone[lexicon.states] = SILENCE
        self._start = np.zeros(1, _HYPOTHESIS)
        self._start["state"], self._start["history"] = silent, START
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._hypotheses = self._start
        # Per word: the entry before it, and the word.
        self._heard: list[tuple[int, int]] = [(0, 0)]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the best hypothesis so far."""
        entry = int(self._hypotheses["heard"][self._hypotheses["score"].argmax()])
        found: list[str] = []
        while entry:
            entry, word = self._heard[entry]
            found.append(self._lexicon.words[word])
        return tuple(found[::-1])

    def accept(self, likelihoods: NDArray[np.float32]) -> None:
        """Take the next sounds, ``[n, phones]``, logarithmic."""
        for row in likelihoods:
            self._step((row - row.max()).astype(np.float64))

    def _step(self, row: NDArray[np.float64]) -> None:
        nodes, silent = self._lexicon.states, 2 * self._lexicon.states
        before = self._hypotheses
        stay = before.copy()
        stay["score"] += row[self._phone[before["state"]]]
        between = before["state"] >= nodes
        hush = before[between & (before["state"] < silent)]
        hush["score"] += row[SILENCE]
        hush["state"] = silent
        least = stay["score"].max() - self._beam
        inside, ended, entries = self._extend(row, before, between, least)
        self._hypotheses = self._best(np.concatenate([stay, hush, inside, ended]))
        for index in np.flatnonzero(self._hypotheses["heard"] < 0):
            self._heard.append(entries[-1 - self._hypotheses["heard"][index]])
            self._hypotheses["heard"][index] = len(self._heard) - 1

    def _extend(
        self,
        row: NDArray[np.float64],
        before: NDArray[np.void],
        between: NDArray[np.bool_],
        least: float,
    ) -> tuple[NDArray[np.void], NDArray[np.void], list[tuple[int, int]]]:
        """Return hypotheses that are a phone further: inside words, and at the end of words."""
        lexicon, nodes = self._lexicon, self._lexicon.states
        place = np.where(between, 0, before["state"])
        of, child = _spread(lexicon.children, place)
        heard = row[self._phone[child]]
        score = before["score"][of] + heard
        score += lexicon.weight * (lexicon.ahead[child] - lexicon.ahead[place[of]])
        possible = np.flatnonzero((heard >= self._least) & (score >= least))
        of, child = of[possible], child[possible]
        new = before[of]
        new["score"], new["state"] = score[possible], child
        inner = new[lexicon.children[child + 1] > lexicon.children[child]]
        of, place = _spread(lexicon.ends, child)
        word = lexicon.endings[place]
        ended = new[of]
        said, ended["history"] = lexicon.advance_ngram(ended["history"], word)
        ended["score"] += lexicon.weight * (said - lexicon.ahead[child[of]]) + lexicon.bonus
        possible = np.flatnonzero(ended["score"] >= least)
        ended, word = ended[possible], word[possible]
        entries = list(zip(ended["heard"].tolist(), word.tolist(), strict=True))
        ended["state"] += nodes
        # Written down only if it is kept.
        ended["heard"] = -1 - np.arange(len(ended))
        return inner, ended, entries

    def _best(self, everyone: NDArray[np.void]) -> NDArray[np.void]:
        """Return the likeliest of those with the same future, as many as may be kept."""
        score = everyone["score"]
        least = score.max() - self._beam
        if len(score) > self._most:
            least = max(least, np.partition(score, -self._most)[-self._most])
        kept = everyone[score >= least]
        kept = kept[np.argsort(-kept["score"], kind="stable")]
        future = kept["history"] << np.uint64(24) | kept["state"].astype(np.uint64)
        best: NDArray[np.void] = kept[np.unique(future, return_index=True)[1]]
        return best


def _spread(
    begins: NDArray[np.integer], rows: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all that rows of a compressed list have: of which of ``rows``, and where it is."""
    first = begins[rows].astype(np.intp)
    count = begins[rows + 1] - first
    of = np.repeat(np.arange(len(rows)), count)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(count) - count - first, count)
