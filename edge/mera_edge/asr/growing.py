"""Runs of the final pass over an utterance that has not ended yet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Alternatives
from mera_edge.asr.final_text import LEAST_AGREEMENT, agreement, confidences, is_sure, timed
from mera_edge.asr.protocol import Hypothesis
from mera_edge.asr.utterance import UtteranceRecognizer, UtteranceText
from mera_edge.engine.onnx import give_back_memory
from mera_edge.metrics.word_error_rate import normalized

STEP_S, STEP_SHARE = 1.28, 0.25
"""New audio after which the pass runs again: this long, or this fraction of the utterance if that
is longer. All runs together then cost at most about four times as much as the last one."""

_REST = 3.0
"""Pause between two runs, relative to the duration of the first: at most a quarter of a core."""

_QUIET_S, _COVER_S = 0.6, 0.3
"""Silence after the last word after which the pass runs at once, since the utterance may be over;
and the silence that a run must include to count as the final one."""


@dataclass(frozen=True, slots=True)
class FinalPassRun:
    """The result of one run of the final pass.

    Attributes:
        said: the recognized text.
        samples: the audio.
        took_s: duration of the run in seconds.
        ended_at: end of the run, by ``time.perf_counter``.
    """

    said: UtteranceText
    samples: NDArray[np.float32]
    took_s: float
    ended_at: float


def run(
    recognizer: UtteranceRecognizer,
    samples: NDArray[np.float32],
    streamed: Alternatives | None,
) -> FinalPassRun:
    """Run the final pass over samples, with the alternatives of the streaming pass."""
    began = time.perf_counter()
    said = recognizer.recognize(samples, streamed)
    took_s = time.perf_counter() - began
    # After a long utterance the C library would retain about 60 MB; releasing it takes 1 ms.
    give_back_memory()
    return FinalPassRun(said, samples, took_s, time.perf_counter())


class Growing:
    """Runs of the final pass over one growing utterance, one at a time.

    Attributes:
        newest: the newest result.
        samples: the audio of that result.
        took_s: total duration of all runs so far, in seconds.
    """

    def __init__(self) -> None:
        self._pending: Future[FinalPassRun] | None = None
        self._asked_s = self._until_s = -math.inf
        self._asked_at = self._rests_until = -math.inf
        self.newest: UtteranceText | None = None
        self.samples: NDArray[np.float32] = np.zeros(0, np.float32)
        self._settled = 0
        self.took_s = 0.0

    def take(self, within_s: float) -> bool:
        """Collect the result of the pending run, if it is done.

        Args:
            within_s: if infinite, wait for it.

        Returns:
            Whether no run is pending.
        """
        if self._pending is None:
            return True
        if not (math.isinf(within_s) or self._pending.done()):
            return False
        answer = self._pending.result()
        self._pending = None
        self.took_s += answer.took_s
        if math.isfinite(within_s):
            waited_s = answer.ended_at - self._asked_at
            self._rests_until = answer.ended_at + _REST * waited_s
        self.samples = answer.samples
        before, self.newest, self._until_s = self.newest, answer.said, self._asked_s
        self._settled = _agreed(before, answer.said) if before is not None else 0
        return True

    def is_due(self, streamed: Hypothesis, now_s: float, voiced_s: float) -> bool:
        """Return whether the pass should run again.

        Args:
            streamed: the streaming pass's words.
            now_s: stream time of the end of the audio.
            voiced_s: stream time of the last speech, after which the utterance may be over;
                infinite to disable early runs in pauses.
        """
        begin_s, word_s = streamed.words[0].start_s, streamed.words[-1].end_s
        if time.perf_counter() < self._rests_until:
            return False
        if now_s >= voiced_s + _COVER_S and not self.covers(voiced_s):
            return True
        if self._asked_s >= word_s + _COVER_S:
            return False
        new_s = now_s - max(self._asked_s, begin_s)
        enough = new_s >= max(STEP_S, STEP_SHARE * (now_s - begin_s))
        return enough or now_s >= word_s + _QUIET_S

    def start_run(self, submit: Callable[[], Future[FinalPassRun]], until_s: float | None) -> None:
        """Start a run over the audio until stream time ``until_s``, and cancel a pending one.

        ``None``: the audio of the newest run again.
        """
        if self._pending is not None:
            self._pending.cancel()
        self._asked_s = self._asked_s if until_s is None else until_s
        self._asked_at = time.perf_counter()
        self._pending = submit()

    @property
    def is_running(self) -> bool:
        """Whether a run is not done."""
        return self._pending is not None and not self._pending.done()

    def covers(self, speech_s: float) -> bool:
        """Whether the newest run includes the end of speech at ``speech_s``."""
        return self._asked_s >= speech_s + _COVER_S

    def is_sure(self) -> bool:
        """Whether the newest run has finished and is confident; see `final_text.is_sure`."""
        return self._pending is None and self.newest is not None and is_sure(self.newest)

    def shown(self, streamed: Hypothesis) -> Hypothesis:
        """Return the words of the newest run, followed by the streaming pass's newer words.

        The streaming pass's words alone if no earlier run agrees with the newest one, or the
        streaming pass hardly does: the text may then be a hallucination, for example on another
        language.
        """
        said = self.newest
        if said is None or not self._settled or not is_sure(said):
            return streamed
        heard = [word for word in streamed.words if word.start_s < self._until_s]
        text = " ".join(word.text for word in heard)
        if not heard or agreement(text, said.text) < LEAST_AGREEMENT:
            return streamed
        end_s = min(heard[-1].end_s, self._until_s)
        words = timed(said.text, confidences(said), heard[0].start_s, end_s)
        words += streamed.words[len(heard) :]
        return replace(
            streamed,
            text=" ".join(word.text for word in words),
            words=words,
            confidence=sum(word.confidence for word in words) / len(words),
            recognized_by="final",
            settled=self._settled,
            took_s=self.took_s,
        )


def _agreed(before: UtteranceText, now: UtteranceText) -> int:
    """Return the length of the common prefix, in words."""
    pairs = zip(before.text.split(), now.text.split(), strict=False)
    same = 0
    for one, other in pairs:
        if normalized(one) != normalized(other):
            break
        same += 1
    return same
