"""CTC: greedy search, forced alignment and scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.steps import Steps, finish

BLANK = 0
_ROWS_A_STEP = 16


@dataclass(slots=True)
class Token:
    """One recognized unit.

    Attributes:
        symbol: its class.
        first, last: its first and last encoder frame.
        confidence: its highest probability in these frames.
    """

    symbol: int
    first: int
    last: int
    confidence: float


class Decoder(Protocol):
    """The protocol of a search."""

    @property
    def frames(self) -> int:
        """Number of encoder frames so far."""

    @property
    def tokens(self) -> Sequence[Token]:
        """The units of the best hypothesis so far."""

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Process the next frames, ``[n, classes]``."""

    def reset(self) -> None:
        """Start a new stream."""


class Greedy:
    """Best path decoding: the best class per frame, with repetitions merged and blanks removed.

    The class of the last frame is kept, so that a unit across a chunk boundary is not split: the
    tokens do not depend on the chunking.
    """

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.frames = 0
        self._previous = BLANK

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Process the next frames, ``[n, classes]``."""
        best = log_probabilities.argmax(axis=1)
        for symbol, score in zip(best.tolist(), log_probabilities.max(axis=1), strict=True):
            if symbol != BLANK:
                confidence = float(np.exp(score))
                if symbol == self._previous:
                    token = self.tokens[-1]
                    token.last, token.confidence = (
                        self.frames,
                        max(token.confidence, confidence),
                    )
                else:
                    self.tokens.append(Token(symbol, self.frames, self.frames, confidence))
            self._previous = symbol
            self.frames += 1

    def reset(self) -> None:
        """Start a new stream."""
        self.tokens.clear()
        self.frames = 0
        self._previous = BLANK


def ctc_forced_alignment(
    log_probabilities: NDArray[np.float32], units: Sequence[int]
) -> list[Token]:
    """Align ``units`` to frames along the most likely CTC path (Viterbi).

    Args:
        log_probabilities: ``[frames, classes]``.

    Returns:
        One token per unit; empty if there are too few frames.
    """
    states, skip = (rows[0] for rows in _states([units]))
    heard = log_probabilities[:, states].astype(np.float64)
    scores = np.full(len(states) + 2, -np.inf)
    scores[2:4] = heard[0, :2]
    before = np.empty((3, len(states)))
    steps = np.empty(heard.shape, np.int8)
    for row, step in zip(heard[1:], steps[1:], strict=True):
        before[0], before[1], before[2] = scores[2:], scores[1:-1], scores[:-2] + skip
        step[:] = before.argmax(axis=0)
        scores[2:] = before.max(axis=0) + row
    state = len(states) - 1
    if units and scores[-2] > scores[-1]:
        state -= 1
    if scores[state + 2] == -np.inf:
        return []
    path = []
    for step in steps[::-1]:
        path.append(state)
        state -= int(step[state])
    return _tokens(path[::-1], units, heard)


def ctc_viterbi_scores(
    log_probabilities: NDArray[np.float32], texts: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Return the log-probability of the best CTC path for each of ``texts``, in one batch.

    It is -inf if there are too few frames.
    """
    return finish(ctc_viterbi_scores_in_steps(log_probabilities, texts))


def ctc_viterbi_scores_in_steps(
    log_probabilities: NDArray[np.float32], texts: Sequence[Sequence[int]]
) -> Steps[NDArray[np.float64]]:
    """Like `ctc_viterbi_scores`, in steps."""
    states, skip = _states(texts)
    scores = np.full((len(states), states.shape[1] + 2), -np.inf)
    scores[:, 2:4] = log_probabilities[0, states[:, :2]]
    # Gathered per frame: for all frames it would take 100 MB for 100 texts of 20 s.
    for number, frame in enumerate(log_probabilities[1:]):
        if number % _ROWS_A_STEP == 0:
            yield
        best = np.maximum(scores[:, 2:], scores[:, 1:-1])
        np.maximum(best, scores[:, :-2] + skip, out=best)
        scores[:, 2:] = best + frame[states]
    # A path ends in a text's last unit or the blank after it; an empty text has only the blank.
    lengths = np.array([len(units) for units in texts])
    ends = np.take_along_axis(scores, 2 * lengths[:, None] + [1, 2], axis=1)
    return np.asarray(ends.max(axis=1))


def _states(
    texts: Sequence[Sequence[int]],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the classes of the CTC states per text (units with blanks between them), and the
    log-weights of the transitions that skip one state, ``[texts, states]`` each."""
    states = np.zeros((len(texts), 2 * max(map(len, texts)) + 1), np.intp)
    for row, units in zip(states, texts, strict=True):
        row[1 : 2 * len(units) : 2] = units
    # The blank between two units may be skipped unless they are equal.
    skip = np.full(states.shape, -np.inf)
    skip[:, 3::2] = np.where(states[:, 3::2] != states[:, 1:-2:2], 0.0, -np.inf)
    return states, skip


def _tokens(path: Sequence[int], units: Sequence[int], heard: NDArray[np.float64]) -> list[Token]:
    tokens: list[Token] = []
    last = BLANK
    for frame, state in enumerate(path):
        if state % 2:
            confidence = float(np.exp(heard[frame, state]))
            if state == last:
                tokens[-1].last = frame
                tokens[-1].confidence = max(tokens[-1].confidence, confidence)
            else:
                tokens.append(Token(units[state // 2], frame, frame, confidence))
        last = state
    return tokens
