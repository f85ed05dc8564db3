"""Two passes: words while they are spoken, and true words once the utterance is over."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, Word
from mera_edge.asr.utterance import UtteranceRecognizer, UtteranceText
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.metrics.word_error_rate import distance, normalized

LEAST_LOG_PROBABILITY = -0.3
"""Mean log-probability of a token from which the final pass is believed; below it the streaming
pass's text stands. Chosen on training speakers: see docs/results/asr.md."""

_MARGIN_S = 0.8
"""Sound before the first word and after the last that the final pass hears too."""

_LONGEST_S = 30.0
"""Sound that is kept at the most: the streaming pass ends utterances long before."""


@cache
def _thread() -> ThreadPoolExecutor:
    """The one thread in which final passes of all rooms run, one core at most."""
    return ThreadPoolExecutor(1, "final-pass")


@dataclass(slots=True)
class _Ending:
    """An utterance that is over, and what is known of its end."""

    blocks: list[AudioBlock]
    streamed: Hypothesis | None = None
    final: Future[UtteranceText] | None = None


class TwoPass:
    """A streaming recognizer whose finished utterances are recognized again as a whole.

    The final pass runs in a thread beside the ticks, over the sound of the utterance. Its text is
    taken where its decoder is sure of it, the streaming pass's elsewhere.

    Args:
        streaming: the first pass.
        final: the second.
        submit: runs a call in another thread; all recognizers of a process share one.
    """

    def __init__(
        self,
        streaming: SpeechRecognizer,
        final: UtteranceRecognizer,
        submit: Callable[..., Future[UtteranceText]] | None = None,
    ) -> None:
        self._streaming, self._final = streaming, final
        self._submit = submit or _thread().submit
        self._blocks: list[AudioBlock] = []
        self._ending: _Ending | None = None
        self._trust = 1.0
        self.reset()

    def accept(self, block: AudioBlock) -> None:
        """Take the next piece of the stream."""
        self._blocks.append(block)
        while self._kept_s(block) > _LONGEST_S:
            self._blocks.pop(0)
        self._streaming.accept(block)

    def partial(self) -> Hypothesis:
        """Return what the streaming pass has understood so far.

        It is doubted as far as the final pass heard other words in the utterance before: whoever
        speaks another language goes on doing so.
        """
        said = self._streaming.partial()
        return said if self._trust == 1 else replace(said, confidence=said.confidence * self._trust)

    def is_endpoint(self) -> bool:
        """Whether the streaming pass says that the utterance is over."""
        return self._streaming.is_endpoint()

    def finalize(self, within_s: float) -> Hypothesis | None:
        """End the utterance; see `SpeechRecognizer.finalize`."""
        if self._ending is None:
            self._ending, self._blocks = _Ending(self._blocks), []
        ending = self._ending
        if ending.streamed is None:
            ending.streamed = self._streaming.finalize(within_s)
            if ending.streamed is None:
                return None
            if ending.streamed.words:
                samples = _sound(ending.blocks, ending.streamed)
                ending.final = self._submit(self._final.recognize, samples)
        if ending.final is not None and not (math.isinf(within_s) or ending.final.done()):
            return None
        self._ending = None
        if ending.final is None:
            return ending.streamed
        said, self._trust = _chosen(ending.streamed, ending.final.result())
        return said

    def flush(self) -> None:
        """End the stream."""
        self._streaming.flush()

    def reset(self) -> None:
        """Forget everything."""
        self._blocks, self._ending, self._trust = [], None, 1.0
        self._streaming.reset()

    def _kept_s(self, newest: AudioBlock) -> float:
        return newest.end_s - self._blocks[0].end_s


def _sound(blocks: list[AudioBlock], streamed: Hypothesis) -> NDArray[np.float32]:
    """Return the samples from a little before the first word to a little after the last."""
    begin_s = streamed.words[0].start_s - _MARGIN_S
    end_s = streamed.words[-1].end_s + _MARGIN_S
    parts = []
    for block in blocks:
        starts_s = block.end_s - len(block.samples) / SAMPLE_RATE
        first = max(0, round((begin_s - starts_s) * SAMPLE_RATE))
        last = max(0, round((end_s - starts_s) * SAMPLE_RATE))
        parts.append(block.samples[first:last])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _chosen(streamed: Hypothesis, said: UtteranceText) -> tuple[Hypothesis, float]:
    """Return what was said, and how far the streaming pass is to be trusted with what follows."""
    if not said.text or said.log_probability < LEAST_LOG_PROBABILITY:
        # Two that hear different words, as of another language, are both to be doubted.
        trust = _agreement(streamed.text, said)
        return replace(streamed, confidence=streamed.confidence * trust), trust
    words = _timed(said, streamed.words[0].start_s, streamed.words[-1].end_s)
    final = replace(
        streamed, text=said.text, words=words, confidence=words[0].confidence, recognized_by="final"
    )
    return final, 1.0


def _agreement(streamed: str, said: UtteranceText) -> float:
    """Return the share of words, from 0 to 1, that both passes heard."""
    one, other = normalized(streamed).split(), normalized(said.text).split()
    return 1 - distance(one, other) / max(len(one), len(other), 1)


def _timed(said: UtteranceText, start_s: float, end_s: float) -> tuple[Word, ...]:
    """Spread the words over the utterance by their lengths: the final pass has no times."""
    words = said.text.split()
    ends = np.cumsum([len(word) + 1 for word in words])
    at = [start_s + (end_s - start_s) * float(end / ends[-1]) for end in (0, *ends)]
    confidence = math.exp(said.log_probability)
    return tuple(
        Word(word, begin, end, confidence)
        for word, begin, end in zip(words, at[:-1], at[1:], strict=True)
    )
