"""The contract of a recognizer: sound in, words out, and no call that takes long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from mera_edge.features.audio import AudioBlock

Pass = Literal["streaming", "final"]


@dataclass(frozen=True, slots=True)
class Word:
    """A recognized word, with its place in the stream (seconds)."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is said in an utterance, as far as it is known.

    Attributes:
        confidence: mean of the words' confidences, 0 without words.
        end_s: stream time up to which sound has been decoded.
        final: nothing will be added or changed.
        recognized_by: which pass the text comes from, or most of it while it grows.
        settled: of words that are not final, how many from the first on will probably stay.
        took_s: seconds that a final pass took for it, beside the stream.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    end_s: float
    final: bool
    recognized_by: Pass = "streaming"
    settled: int = 0
    took_s: float = 0.0


class SpeechRecognizer(Protocol):
    """Recognizes one stream of speech, utterance by utterance."""

    def accept(self, block: AudioBlock) -> None:
        """Take the next piece of the stream."""

    def partial(self) -> Hypothesis:
        """Return what has been understood of the utterance so far. Cheap, and changes nothing."""

    def settle(self, within_s: float) -> None:
        """Work on better partial words, where there are any to be had. Asked once a tick.

        Args:
            within_s: as of `finalize`; infinite where the time does not matter and every run
                should give the same.
        """

    def is_endpoint(self) -> bool:
        """Whether the utterance is over. Cheap, and changes nothing."""

    def finalize(self, within_s: float) -> Hypothesis | None:
        """End the utterance and work on its final text. What comes next is the next utterance's.

        A recognizer may put the work off, or have another thread do it: ask again in the next
        tick, until there is an answer. Meanwhile the next utterance is listened to, but cannot end.

        Args:
            within_s: seconds that this call may take, beyond what cannot be divided.

        Returns:
            The final hypothesis; ``None`` while there is more to do.
        """

    def flush(self) -> None:
        """End the stream: decode what is left. `finalize` is what may follow, then `reset`."""

    def reset(self) -> None:
        """Forget everything: the next piece is the first of a new stream."""


def finalized(recognizer: SpeechRecognizer) -> Hypothesis:
    """End the utterance and return its final hypothesis, however long that takes."""
    final = None
    while final is None:
        final = recognizer.finalize(math.inf)
    return final
