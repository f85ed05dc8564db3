"""From CTC log-probabilities to tokens, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BLANK = 0


@dataclass(slots=True)
class Token:
    """One recognized unit.

    Attributes:
        symbol: its class.
        first, last: encoder frames of the stream that it spans.
        confidence: its highest probability in them.
    """

    symbol: int
    first: int
    last: int
    confidence: float


class Decoder(Protocol):
    """What the recognizer asks of a search."""

    @property
    def frames(self) -> int:
        """Of the encoder, so far."""

    @property
    def tokens(self) -> Sequence[Token]:
        """The units, or the words, of the best text so far."""

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, ``[n, classes]``."""

    def reset(self) -> None:
        """Begin a new stream."""


class Greedy:
    """The best path: the best class of every frame, repetitions merged, blanks dropped.

    The class of the last frame is carried over, so that a unit which straddles the edge of two
    chunks is one unit: however the frames are cut, the tokens are the same.
    """

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.frames = 0
        self._previous = BLANK

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, ``[n, classes]``."""
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
        """Begin a new stream."""
        self.tokens.clear()
        self.frames = 0
        self._previous = BLANK
