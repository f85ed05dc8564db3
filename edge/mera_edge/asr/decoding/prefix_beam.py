"""CTC prefix beam search: finds the most likely text instead of the most likely path."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf, log1p
from operator import add

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.decoding.ctc import BLANK, Token
from mera_edge.asr.decoding.ngram_lm import START, Context, LanguageModel

_LEAST = -7.0
"""Minimum log-probability of a class to be expanded in a frame."""
_MOST = 12
"""Maximum number of classes expanded in a frame."""
_ROUNDING = 1e-6


class _Prefix:
    """A prefix: its last unit, its parent prefix, and its probabilities.

    ``blank`` and ``unit`` are the log-probabilities of all paths that end in a blank and in the
    unit; ``score`` is the contribution of language model and hot words.
    """

    __slots__ = (
        "blank", "children", "confidence", "context", "first", "hot", "last", "next_blank",
        "next_unit", "parent", "score", "symbol", "unit",
    )  # fmt: skip

    def __init__(self, symbol: int, parent: _Prefix | None) -> None:
        self.symbol, self.parent = symbol, parent
        self.children: dict[int, _Prefix] = {}
        self.blank = self.unit = self.next_blank = self.next_unit = -inf
        self.score = 0.0
        self.context: Context = (START,)
        self.hot = 0
        self.first = self.last = -1
        self.confidence = -inf

    def path(self) -> list[_Prefix]:
        """Its ancestors and itself, without the root."""
        found, prefix = [], self
        while prefix.parent is not None:
            found.append(prefix)
            prefix = prefix.parent
        return found[::-1]

    def total(self) -> float:
        """Log-probability plus ``score``."""
        return _log_add(self.blank, self.unit) + self.score


class PrefixBeam:
    """CTC prefix beam search (Hannun et al., 2014), frame by frame.

    The state changes only per frame, so the tokens do not depend on the chunking.

    Args:
        beam: number of prefixes that are kept.
        language_model: for shallow fusion: its score of each unit is added.
        hot_words: texts as classes; every unit that continues one gets ``boost``, which is revoked
            if the hot word is not completed.
        boost: in nats per unit.
    """

    def __init__(
        self,
        beam: int = 16,
        language_model: LanguageModel | None = None,
        hot_words: Iterable[tuple[int, ...]] = (),
        boost: float = 1.5,
    ) -> None:
        self._beam, self._model, self._boost = beam, language_model, boost
        hot_words = list(hot_words)
        self._hot = _Automaton(hot_words)
        self._most = boost * bool(hot_words) + (language_model.bonus if language_model else 0.0)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        start = _Prefix(BLANK, None)
        start.blank = 0.0
        self._prefixes = [start]
        self.frames = 0

    @property
    def tokens(self) -> list[Token]:
        """The units of the best hypothesis so far."""
        return [
            Token(prefix.symbol, prefix.first, prefix.last, exp(prefix.confidence))
            for prefix in self._prefixes[0].path()
        ]

    @property
    def texts(self) -> list[list[int]]:
        """The units of all hypotheses in the beam, the best first."""
        return [[each.symbol for each in prefix.path()] for prefix in self._prefixes]

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Process the next frames, ``[n, classes]``."""
        for row in log_probabilities:
            self._step(row)
            self.frames += 1

    def _step(self, row: NDArray[np.float32]) -> None:  # noqa: C901 (one loop, the hot one)
        likely = np.flatnonzero(row >= _LEAST)
        if len(likely) > _MOST:
            likely = likely[np.argsort(row[likely], kind="stable")[-_MOST:]]
        silence = float(row[BLANK])
        units = [(int(unit), float(row[unit])) for unit in likely if unit != BLANK]
        met: dict[int, _Prefix] = {}
        totals = [_log_add(prefix.blank, prefix.unit) for prefix in self._prefixes]
        # Pruning: with a full beam, a new prefix is kept only if it beats the worst existing one
        # extended by a blank.
        least = -inf
        if len(totals) == self._beam:
            least = min(map(add, totals, (p.score for p in self._prefixes))) + silence - _ROUNDING
        for prefix, total in zip(self._prefixes, totals, strict=True):
            met[id(prefix)] = prefix
            prefix.next_blank = _log_add(prefix.next_blank, total + silence)
            for unit, value in units:
                if unit == prefix.symbol:
                    # A repetition continues the same unit; a new one needs a blank in between.
                    prefix.next_unit = _log_add(prefix.next_unit, prefix.unit + value)
                    if prefix.unit >= prefix.blank:
                        self._heard(prefix, value, goes_on=True)
                    before = prefix.blank
                else:
                    before = total
                if before == -inf:
                    continue
                child = prefix.children.get(unit)
                if child is None:
                    if prefix.score + self._most + before + value < least:
                        continue
                    child = self._child(prefix, unit)
                met[id(child)] = child
                child.next_unit = _log_add(child.next_unit, before + value)
                self._heard(child, value, goes_on=False)
        for prefix in met.values():
            prefix.blank, prefix.unit = prefix.next_blank, prefix.next_unit
            prefix.next_blank = prefix.next_unit = -inf
        ranked = sorted(met.values(), key=_Prefix.total, reverse=True)
        self._prefixes = ranked[: self._beam]
        for prefix in ranked[self._beam :]:
            prefix.blank = prefix.unit = -inf
            # A prefix with children stays in the tree; otherwise its text could be created twice.
            if prefix.parent is not None and not prefix.children:
                prefix.parent.children.pop(prefix.symbol, None)

    def _child(self, prefix: _Prefix, unit: int) -> _Prefix:
        child = _Prefix(unit, prefix)
        child.score = prefix.score
        if self._model is not None:
            child.score += self._model.score(prefix.context, unit)
            child.context = self._model.after(prefix.context, unit)
        child.hot, gained = self._hot.step(prefix.hot, unit)
        child.score += self._boost * gained
        prefix.children[unit] = child
        return child

    def _heard(self, prefix: _Prefix, value: float, goes_on: bool) -> None:
        """Update a unit's frames: around its most likely one, while its probability exceeds 0.5."""
        if value > prefix.confidence:
            prefix.confidence = value
            if not goes_on or prefix.first < 0:
                prefix.first = self.frames
            prefix.last = self.frames
        elif goes_on and value > -0.7:
            prefix.last = self.frames


class _Automaton:
    """Matches hot words incrementally: a trie with failure links (Aho and Corasick, 1975)."""

    def __init__(self, words: Iterable[tuple[int, ...]]) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._depth, self._ends = [0], [False]
        for word in words:
            state = 0
            for unit in word:
                if unit not in self._next[state]:
                    self._next[state][unit] = len(self._next)
                    self._next.append({})
                    self._depth.append(self._depth[state] + 1)
                    self._ends.append(False)
                state = self._next[state][unit]
            self._ends[state] = state != 0
        self._failure = [0] * len(self._next)
        queue = list(self._next[0].values())
        for state in queue:
            for unit, child in self._next[state].items():
                self._failure[child] = self._find(self._failure[state], unit)
                queue.append(child)

    def step(self, state: int, unit: int) -> tuple[int, int]:
        """Return the next state and the change in the number of matched units."""
        then = self._find(state, unit)
        gained = self._depth[then] - self._depth[state]
        if self._ends[then]:
            # A completed hot word keeps its boost.
            return 0, gained
        return then, gained

    def _find(self, state: int, unit: int) -> int:
        while state and unit not in self._next[state]:
            state = self._failure[state]
        return self._next[state].get(unit, 0)


def _log_add(a: float, b: float) -> float:
    """``log(exp(a) + exp(b))``"""
    if a < b:
        a, b = b, a
    return a if b == -inf else a + log1p(exp(b - a))
