"""What the final pass makes of an utterance that is not over yet."""

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
"""New sound after which an utterance is heard again: so much, or this share of it if that is more.
Hearing an utterance of any length again and again then costs at most four times as much as once."""

_REST = 3.0
"""Times what a run took, in which the thread rests before the next: a quarter of a core at most."""

_QUIET_S, _COVER_S = 0.6, 0.3
"""Silence after a word after which the utterance may be over, and is heard again at once; and how
much of it a run must have heard to be the final one."""


@dataclass(frozen=True, slots=True)
class FinalPassRun:
    """An answer of the final pass.

    Attributes:
        said: the text that it heard.
        samples: the sound that it heard it in.
        took_s: seconds that it took.
        ended_at: when it was over, by ``time.perf_counter``.
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
    """Let the final pass hear samples, and weigh what the streaming pass heard in them."""
    began = time.perf_counter()
    said = recognizer.recognize(samples, streamed)
    took_s = time.perf_counter() - began
    # Of a long utterance some 60 MB would stay with the C library, for a millisecond.
    give_back_memory()
    return FinalPassRun(said, samples, took_s, time.perf_counter())


class Growing:
    """Runs of the final pass over one growing utterance, one at a time.

    Attributes:
        newest: what the newest run heard whose answer was taken.
        samples: what that run heard it in.
        took_s: seconds that all of them took so far.
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
        """Take the answer of a run.

        Args:
            within_s: infinite where it is waited for.

        Returns:
            Whether nothing is pending any more.
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
        """Return whether the utterance should be heard again, at stream time ``now_s``.

        Args:
            streamed: its words.
            now_s: until when it was heard.
            voiced_s: until when there was speech in it: it may be over since then. Infinite where
                that is not to be guessed.
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
        """Begin a run over the sound until stream time ``until_s``, in place of a pending one;
        ``None``: over that of the newest run."""
        if self._pending is not None:
            self._pending.cancel()
        self._asked_s = self._asked_s if until_s is None else until_s
        self._asked_at = time.perf_counter()
        self._pending = submit()

    def covers(self, speech_s: float) -> bool:
        """Whether the newest run heard the end of an utterance that was spoken until then."""
        return self._asked_s >= speech_s + _COVER_S

    def is_sure(self) -> bool:
        """Whether the newest run is over and sure of what it heard."""
        return self._pending is None and self.newest is not None and is_sure(self.newest)

    def shown(self, streamed: Hypothesis) -> Hypothesis:
        """Return the words of the newest run, then what the streaming pass heard after them.

        What no other run and hardly the streaming pass agrees with may be made up, of another
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
    """Return how many words from the first on are the same."""
    pairs = zip(before.text.split(), now.text.split(), strict=False)
    same = 0
    for one, other in pairs:
        if normalized(one) != normalized(other):
            break
        same += 1
    return same
