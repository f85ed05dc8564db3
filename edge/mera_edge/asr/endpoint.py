"""Where an utterance ends: where the speech detector hears no more speech, or where it is long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mera_edge.config import RecognitionSettings
from mera_edge.features.audio import AudioBlock

_PAUSE_S = 0.2
"""Time without a word at which an utterance that is too long is cut."""
_LONGEST = 1.25
"""Times the length from which a pause is enough, after which nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """How far a recognizer is in an utterance; stream times in seconds.

    Attributes:
        start_s: where the utterance begins.
        end_s: up to where sound has been decoded.
        word_end_s: where its newest word ends, ``None`` without words.
    """

    start_s: float
    end_s: float
    word_end_s: float | None


class Endpoint:
    """Decides when an utterance is over.

    Silence is what the speech detector says it is. Without one, the time since the newest word
    has to do, as in sherpa-onnx. An utterance that has become too long is cut where nobody says a
    word.

    Args:
        rules: after how many seconds.
    """

    def __init__(self, rules: RecognitionSettings) -> None:
        self._rules = rules
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._speaking: bool | None = None
        self._spoke_s = -math.inf

    @property
    def informed(self) -> bool:
        """Whether a speech detector says where there is speech."""
        return self._speaking is not None

    def accept(self, block: AudioBlock) -> bool:
        """Take what the speech detector says about the next piece of the stream.

        Returns:
            Whether it heard speech before and hears none now.
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
