"""Two passes: words while they are spoken, and true words once the utterance is over."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

from mera_edge.asr.final_text import chosen
from mera_edge.asr.growing import Growing, Run, run
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer
from mera_edge.asr.sound_buffer import SoundBuffer
from mera_edge.asr.utterance import UtteranceRecognizer
from mera_edge.features.audio import AudioBlock
from mera_edge.stages.vad import HANGOVER_S

_MARGIN_S = 0.8
"""Sound before the first word and after the last that the final pass hears too."""

_UNHEARD = 0.5
"""Trust in words that only the streaming pass has heard, while no utterance was recognized yet."""

_LONGEST_S = 30.0
"""Sound that is kept. The streaming text of an utterance that is longer stands."""


_NICENESS = 10
"""Of the final pass: where a tick wants the same core, it gets nine tenths of it."""


@cache
def _thread() -> ThreadPoolExecutor:
    """The one thread in which final passes of all rooms run, one core at most."""
    return ThreadPoolExecutor(1, "final-pass", _step_back)


def _step_back() -> None:
    # Linux has a niceness per thread.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + _NICENESS)


@dataclass(slots=True)
class _Ending:
    """An utterance that is over, and what is known of its end."""

    growing: Growing
    begin_s: float
    spoke_s: float
    streamed: Hypothesis | None = None


class TwoPass:
    """A streaming recognizer whose utterances are recognized again as a whole.

    The final pass runs in a thread beside the ticks, over the sound of the utterance so far
    (`settle`), and once more when it is over. Its text is taken where its decoder is sure of it,
    the streaming pass's elsewhere.

    Args:
        streaming: the first pass.
        final: the second.
        submit: runs a call in another thread; all recognizers of a process share one.
    """

    def __init__(
        self,
        streaming: SpeechRecognizer,
        final: UtteranceRecognizer,
        submit: Callable[..., Future[Run]] | None = None,
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
        """Take the next piece of the stream."""
        self._sound.accept(block)
        if block.speaking:
            self._spoke_s = block.end_s
        self._streaming.accept(block)

    def partial(self) -> Hypothesis:
        """Return what has been understood so far: by the final pass, and since then.

        It is doubted as far as the passes heard different words in the utterance before: whoever
        speaks another language goes on doing so. Before the first one is over, the streaming pass
        alone is not enough.
        """
        shown = self._growing.shown(self._streaming.partial())
        trust = self._trust
        if trust is None:
            trust = 1.0 if shown.recognized_by == "final" else _UNHEARD
        return replace(shown, confidence=shown.confidence * trust)

    def refine_partial(self, within_s: float) -> None:
        """Let the final pass hear the utterance so far; see `SpeechRecognizer.settle`."""
        if self._ending is not None or not self._growing.take(within_s):
            return
        streamed, now_s = self._streaming.partial(), self._sound.end_s
        if streamed.words and self._growing.is_due(streamed, now_s):
            self._hear(self._growing, self._begin_s, streamed, now_s)

    def is_endpoint(self) -> bool:
        """Whether the streaming pass says that the utterance is over."""
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
            self._hear_out(ending, ending.streamed)
        if not ending.growing.take(within_s):
            return None
        self._ending = None
        said = ending.growing.newest
        if said is None:
            return ending.streamed
        trusted = 1.0 if self._trust is None else self._trust
        final, self._trust = chosen(ending.streamed, said, trusted)
        return replace(final, took_s=ending.growing.took_s, alternatives=None)

    def flush(self) -> None:
        """End the stream."""
        self._streaming.flush()

    def reset(self) -> None:
        """Forget everything."""
        self._sound.reset()
        self._growing, self._ending, self._trust = Growing(), None, None
        self._begin_s = self._spoke_s = -math.inf
        self._streaming.reset()

    def _hear_out(self, ending: _Ending, streamed: Hypothesis) -> None:
        """Let the final pass hear the whole utterance, unless it has."""
        if not streamed.words or self._sound.begin_s > streamed.words[0].start_s:
            ending.growing = Growing()
            return
        speech_s = max(streamed.words[-1].end_s, ending.spoke_s - HANGOVER_S)
        weighs = streamed.alternatives is not None and not ending.growing.is_sure()
        if weighs or not ending.growing.covers(speech_s):
            # The next utterance begins where the streaming pass ended this one.
            until_s = min(speech_s + _MARGIN_S, streamed.end_s)
            self._hear(ending.growing, ending.begin_s, streamed, until_s)

    def _hear(self, growing: Growing, begin_s: float, streamed: Hypothesis, until_s: float) -> None:
        begin_s = max(begin_s, streamed.words[0].start_s - _MARGIN_S)
        samples = self._sound.between(begin_s, until_s)
        # While the utterance grows there are none.
        alternatives = streamed.alternatives
        growing.start_run(lambda: self._submit(run, self._final, samples, alternatives), until_s)
