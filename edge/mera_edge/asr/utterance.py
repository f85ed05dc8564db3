"""What a recognizer of whole utterances is: samples in, words and a certainty out."""

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
    """What was said in an utterance.

    Attributes:
        text: with capitals and punctuation where the recognizer has them.
        log_probability: mean log-probability of a token, 0 (certain) and below.
        words: log-probability of each word of ``text.split()``, that of its least likely token.
        joint: the text that is likeliest when the streaming pass is asked too; where it was.
    """

    text: str
    log_probability: float
    words: tuple[float, ...]
    joint: UtteranceText | None = None


class UtteranceRecognizer(Protocol):
    """Recognizes whole utterances; may be used by one thread at a time."""

    def recognize(
        self, samples: NDArray[np.float32], streamed: Alternatives | None = None
    ) -> UtteranceText:
        """Return what is said in an utterance.

        Args:
            samples: ``[n]`` at 16 kHz, from -1 to 1.
            streamed: what the streaming pass heard in it, for recognizers that can weigh it.
        """


def repeats(tokens: Sequence[int]) -> bool:
    """Return whether a decoder goes in circles: the newest tokens, up to 12, came four times."""
    for cycle in range(1, _LONGEST_CYCLE + 1):
        newest = tokens[-cycle * _TIMES :]
        if len(newest) == cycle * _TIMES and all(
            newest[i] == newest[i % cycle] for i in range(cycle, len(newest))
        ):
            return True
    return False
