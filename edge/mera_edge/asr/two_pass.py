"""Two-pass recognition: streaming words while they are spoken, then a final pass."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.final_text import chosen
from mera_edge.asr.growing import FinalPassRun, Growing, run
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer
from mera_edge.asr.sound_buffer import SoundBuffer
from mera_edge.asr.utterance import UtteranceRecognizer
from mera_edge.features.audio import AudioBlock
from mera_edge.stages.vad import HANGOVER_S

_MARGIN_S = 0.8
"""Audio before the first word and after the last that the final pass also gets."""

_UNCONFIRMED = 0.5
"""Trust in the streaming pass's words before the first utterance has ended."""

_LONGEST_S = 30.0
"""Audio that is buffered. A longer utterance keeps the streaming pass's text."""


_NICENESS = 10
"""Niceness of the final pass: a tick on the same core gets nine tenths of it."""


@cache
def _thread() -> ThreadPoolExecutor:
    """The thread in which the final passes of all rooms run, so that they use at most one core."""
    return ThreadPoolExecutor(1, "final-pass", _step_back)


def _step_back() -> None:
    # On Linux, niceness is per thread.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + _NICENESS)


@dataclass(slots=True)
class _Ending:
    """An utterance that has ended but has no final text yet."""

    growing: Growing
    begin_s: float
    spoke_s: float
    streamed: Hypothesis | None = None
    heard_out: bool = False
    """Whether its last run has started."""


class TwoPass:
    """A streaming recognizer with a final pass over whole utterances.

    The final pass runs in a background thread over the utterance so far (`refine_partial`), and
    once more when it has ended. Its text is used if its decoder is confident, otherwise that of the
    streaming pass.

    Args:
        streaming: the streaming pass.
        final: the final pass.
        submit: runs a call in another thread; by default one thread shared within the process.
    """

    def __init__(
        self,
        streaming: SpeechRecognizer,
        final: UtteranceRecognizer,
        submit: Callable[..., Future[FinalPassRun]] | None = None,
    ) -> None:
        self._streaming, self._final = streaming, final
        self._submit = submit or _thread().submit
        self._sound = SoundBuffer(_LONGEST_S)
        self._begin_s = self._spoke_s = -math.inf
        self._growing = Growing()
        self._ending: _Ending | None = None
        self._trust: float | None = None
        self.reset()

    def accept(self, block: AudioBlock) -> None:
        """Process the next block."""
        self._sound.accept(block)
        if block.speaking:
            self._spoke_s, self._voiced_s = block.end_s, block.end_s - block.pause_s
        self._streaming.accept(block)

    def partial(self) -> Hypothesis:
        """Return the words so far: the final pass's, followed by the streaming pass's newer ones.

        Their confidence is scaled by the agreement of the passes on the previous utterance, since a
        speaker of another language is likely to continue in it. Before the first utterance has
        ended, words of the streaming pass alone have a lower confidence.
        """
        shown = self._growing.shown(self._streaming.partial())
        trust = self._trust
        if trust is None:
            trust = 1.0 if shown.recognized_by == "final" else _UNCONFIRMED
        return replace(shown, confidence=shown.confidence * trust)

    def refine_partial(self, within_s: float) -> None:
        """Run the final pass over the utterance so far; see `SpeechRecognizer.refine_partial`."""
        if self._ending is not None or not self._growing.take(within_s):
            return
        streamed, now_s = self._streaming.partial(), self._sound.end_s
        # Live, a run starts in every pause: if the utterance has ended, its final text is ready
        # when the speech detector reports the end.
        voiced_s = self._voiced_s if math.isfinite(within_s) else math.inf
        if streamed.words and self._growing.is_due(streamed, now_s, voiced_s):
            self._hear(self._growing, self._begin_s, streamed, now_s)

    def is_endpoint(self) -> bool:
        """Whether the utterance is over, by the streaming pass."""
        return self._streaming.is_endpoint()

    def finalize(self, within_s: float) -> Hypothesis | None:
        """End the utterance; see `SpeechRecognizer.finalize`."""
        if self._ending is None:
            self._ending = _Ending(self._growing, self._begin_s, self._spoke_s)
            self._growing, self._begin_s = Growing(), self._streaming.partial().end_s
        ending = self._ending
        if ending.streamed is None:
            ending.streamed = self._streaming.finalize(within_s)
            if ending.streamed is None:
                return None
        if not self._heard_out(ending, ending.streamed, within_s):
            return None
        self._ending = None
        said = ending.growing.newest
        if said is None:
            return ending.streamed
        trusted = 1.0 if self._trust is None else self._trust
        final, self._trust = chosen(ending.streamed, said, trusted)
        return replace(final, took_s=ending.growing.took_s, alternatives=None)

    @property
    def is_waiting(self) -> bool:
        """Whether the final pass is not done with the utterance that is over."""
        return self._ending is not None and self._ending.growing.is_running

    def flush(self) -> None:
        """End the stream."""
        self._streaming.flush()

    def reset(self) -> None:
        """Start a new stream."""
        self._sound.reset()
        self._growing, self._ending, self._trust = Growing(), None, None
        self._begin_s = self._spoke_s = -math.inf
        self._voiced_s = math.inf
        self._streaming.reset()

    def _heard_out(self, ending: _Ending, streamed: Hypothesis, within_s: float) -> bool:
        """Run the final pass over the whole utterance if necessary; return whether it is done."""
        if ending.heard_out:
            return ending.growing.take(within_s)
        if not streamed.words or self._sound.begin_s > streamed.words[0].start_s:
            ending.growing = Growing()
            return True
        speech_s = max(streamed.words[-1].end_s, ending.spoke_s - HANGOVER_S)
        covers = ending.growing.covers(speech_s)
        if covers and not ending.growing.take(within_s):
            return False
        weighs = streamed.alternatives is not None and not ending.growing.is_sure()
        if covers and weighs and math.isfinite(within_s):
            self._start(ending.growing, ending.growing.samples, streamed)
        elif weighs or not covers:
            # The audio after `streamed.end_s` belongs to the next utterance.
            until_s = min(speech_s + _MARGIN_S, streamed.end_s)
            self._hear(ending.growing, ending.begin_s, streamed, until_s)
        ending.heard_out = True
        return ending.growing.take(within_s)

    def _hear(self, growing: Growing, begin_s: float, streamed: Hypothesis, until_s: float) -> None:
        begin_s = max(begin_s, streamed.words[0].start_s - _MARGIN_S)
        self._start(growing, self._sound.between(begin_s, until_s), streamed, until_s)

    def _start(
        self,
        growing: Growing,
        samples: NDArray[np.float32],
        streamed: Hypothesis,
        until_s: float | None = None,
    ) -> None:
        # Alternatives exist only once the utterance has ended.
        call = partial(run, self._final, samples, streamed.alternatives)
        growing.start_run(lambda: self._submit(call), until_s)
