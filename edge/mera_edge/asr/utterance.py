"""The protocol of a recognizer of whole utterances: samples in, words with confidence out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Alternatives

_LONGEST_CYCLE, _TIMES = 12, 4


@dataclass(frozen=True, slots=True)
class UtteranceText:
    """The transcript of an utterance.

    Attributes:
        text: with capitals and punctuation if the recognizer produces them.
        log_probability: mean log-probability of the tokens, at most 0 (certain).
        words: log-probability of each word of ``text.split()``: that of its least likely token.
        joint: the best text by joint rescoring with the streaming pass, if it was done.
    """

    text: str
    log_probability: float
    words: tuple[float, ...]
    joint: UtteranceText | None = None


class UtteranceRecognizer(Protocol):
    """Recognizes whole utterances. Not thread-safe."""

    def recognize(
        self, samples: NDArray[np.float32], streamed: Alternatives | None = None
    ) -> UtteranceText:
        """Transcribe an utterance.

        Args:
            samples: ``[n]`` at 16 kHz, from -1 to 1.
            streamed: alternatives of the streaming pass, for recognizers that can rescore them.
        """


def repeats(tokens: Sequence[int]) -> bool:
    """Return whether the decoder loops: the last 1 to 12 tokens occur four times in a row."""
    for cycle in range(1, _LONGEST_CYCLE + 1):
        newest = tokens[-cycle * _TIMES :]
        if len(newest) == cycle * _TIMES and all(
            newest[i] == newest[i % cycle] for i in range(cycle, len(newest))
        ):
            return True
    return False
