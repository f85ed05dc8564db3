"""Endpointing: an utterance ends when speech does, or when it has become too long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mera_edge.config import RecognitionSettings
from mera_edge.features.audio import AudioBlock

_PAUSE_S = 0.2
"""Pause between words at which an utterance that is too long is cut."""
_LONGEST = 1.25
"""Factor of ``rule3_min_utterance_length`` at which an utterance is cut even without a pause."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recognizer's progress in an utterance; stream times in seconds.

    Attributes:
        start_s: start of the utterance.
        end_s: end of the decoded audio.
        word_end_s: end of the last word; ``None`` without words.
    """

    start_s: float
    end_s: float
    word_end_s: float | None


class Endpoint:
    """Decides when an utterance is over.

    Silence is detected by the speech detector, or without one by the time since the last word, as
    in sherpa-onnx. An utterance that has become too long is cut at a pause between words.

    Args:
        rules: the durations.
    """

    def __init__(self, rules: RecognitionSettings) -> None:
        self._rules = rules
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._speaking: bool | None = None
        self._spoke_s = -math.inf

    @property
    def informed(self) -> bool:
        """Whether the blocks carry the output of a speech detector."""
        return self._speaking is not None

    def accept(self, block: AudioBlock) -> bool:
        """Update with the speech detector's output for the next block.

        Returns:
            Whether speech has just ended.
        """
        before, self._speaking = self._speaking, block.speaking
        if block.speaking:
            self._spoke_s = block.end_s
        return bool(before) and block.speaking is False

    def reached(self, decoded: Decoded) -> bool:
        """Return whether the utterance is over."""
        rules, word_end_s = self._rules, decoded.word_end_s
        length_s = decoded.end_s - decoded.start_s
        silence_s = decoded.end_s - (decoded.start_s if word_end_s is None else word_end_s)
        if length_s >= rules.rule3_min_utterance_length and (
            silence_s >= _PAUSE_S or length_s >= _LONGEST * rules.rule3_min_utterance_length
        ):
            return True
        if self._speaking:
            return False
        if word_end_s is not None and self._spoke_s > decoded.start_s:
            return decoded.end_s >= self._spoke_s
        silent_s = rules.rule1_min_trailing_silence
        if word_end_s is not None:
            silent_s = min(silent_s, rules.rule2_min_trailing_silence)
        return silence_s >= silent_s
