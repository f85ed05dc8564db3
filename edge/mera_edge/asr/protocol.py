"""The protocol of a recognizer: audio in, words out, in calls of bounded duration."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mera_edge.asr.alternatives import Alternatives
from mera_edge.features.audio import AudioBlock

Pass = Literal["streaming", "final"]


@dataclass(frozen=True, slots=True)
class Word:
    """A recognized word.

    Attributes:
        start_s, end_s: stream time in seconds.
        confidence: from 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The words of an utterance so far.

    Attributes:
        confidence: mean of the words' confidences, from 0 to 1; 0 without words.
        end_s: stream time in seconds up to which audio has been decoded.
        final: whether nothing will be added or changed.
        recognized_by: the pass that the text, or most of a partial text, comes from.
        settled: number of leading words of a partial text that are unlikely to change.
        took_s: seconds that the final pass took, in its own thread.
        alternatives: for the final pass, with the final text of the streaming pass.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    end_s: float
    final: bool
    recognized_by: Pass = "streaming"
    settled: int = 0
    took_s: float = 0.0
    alternatives: Alternatives | None = field(default=None, compare=False, repr=False)


class SpeechRecognizer(Protocol):
    """Recognizes one stream of speech, utterance by utterance."""

    def accept(self, block: AudioBlock) -> None:
        """Process the next block of audio."""

    def partial(self) -> Hypothesis:
        """Return the words of the utterance so far. Cheap, without side effects."""

    def refine_partial(self, within_s: float) -> None:
        """Improve the partial words, if the recognizer can. Called once per tick.

        Args:
            within_s: see `finalize`; infinite for recordings, where every run must give the same
                result.
        """

    def is_endpoint(self) -> bool:
        """Whether the utterance is over. Cheap, without side effects."""

    def finalize(self, within_s: float) -> Hypothesis | None:
        """End the utterance and work on its final text. Further audio is the next utterance's.

        A recognizer may defer the work or do it in another thread: call again in the next tick
        until there is a result. Meanwhile the next utterance is decoded, but cannot end.

        Args:
            within_s: seconds that this call may take, apart from work that cannot be split.

        Returns:
            The final hypothesis; ``None`` while there is more to do.
        """

    @property
    def is_waiting(self) -> bool:
        """Whether `finalize` has no result because another thread is not done."""

    def flush(self) -> None:
        """End the stream and decode what is left. Only `finalize` and then `reset` may follow."""

    def reset(self) -> None:
        """Start a new stream."""


def finalized(recognizer: SpeechRecognizer) -> Hypothesis:
    """End the utterance and return its final hypothesis, without a time limit."""
    final = None
    while final is None:
        final = recognizer.finalize(math.inf)
    return final
