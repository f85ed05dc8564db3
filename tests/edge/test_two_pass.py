"""Two passes: the final text replaces the streamed one where it is sure, and delays nothing."""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.asr.protocol import Hypothesis, Word, finalized
from mera_edge.asr.two_pass import LEAST_LOG_PROBABILITY, TwoPass
from mera_edge.asr.utterance import UtteranceText
from mera_edge.features.audio import AudioBlock

RATE, BLOCK_S = 16_000, 0.2


class Streaming:
    """Hears a word in every second of sound that is not silent."""

    def __init__(self) -> None:
        self.reset()

    def accept(self, block: AudioBlock) -> None:
        self.end_s = block.end_s
        if np.abs(block.samples).max(initial=0) > 0:
            self.words.append(Word("streamed", block.end_s - BLOCK_S, block.end_s, 0.5))

    def partial(self) -> Hypothesis:
        return self._said(final=False)

    def is_endpoint(self) -> bool:
        return bool(self.words) and self.end_s - self.words[-1].end_s > 0.5

    def finalize(self, within_s: float) -> Hypothesis | None:
        said, self.words = self._said(final=True), []
        return said

    def flush(self) -> None:
        pass

    def reset(self) -> None:
        self.words: list[Word] = []
        self.end_s = 0.0

    def _said(self, final: bool) -> Hypothesis:
        text = " ".join(word.text for word in self.words)
        return Hypothesis(text, tuple(self.words), 0.5 if self.words else 0.0, self.end_s, final)


class Final:
    """Answers with a given text, when it is let."""

    def __init__(self, text: str = "Truly said, so.", log_probability: float = -0.1) -> None:
        self.said = UtteranceText(text, log_probability)
        self.heard: list[NDArray[np.float32]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def recognize(self, samples: NDArray[np.float32]) -> UtteranceText:
        self.heard.append(samples)
        self.may_answer.wait(10)
        return self.said


def block(level: float, end_s: float) -> AudioBlock:
    samples = np.full(round(BLOCK_S * RATE), level, np.float32)
    return AudioBlock(np.zeros((20, 80), np.float32), end_s, samples)


def speak(recognizer: TwoPass, begin_s: float, levels: list[float]) -> float:
    """Feed blocks from stream time ``begin_s`` on; return where they end."""
    for level in levels:
        begin_s += BLOCK_S
        recognizer.accept(block(level, begin_s))
    return begin_s


def test_the_final_text_replaces_the_streamed_one_with_times_inside_the_utterance() -> None:
    final = Final()
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 10.0, [0] * 10 + [0.5] * 5 + [0] * 5)
    assert recognizer.partial().text == " ".join(["streamed"] * 5)
    assert recognizer.is_endpoint()
    said = finalized(recognizer)
    assert (said.text, said.final, said.recognized_by) == ("Truly said, so.", True, "final")
    assert said.confidence == pytest.approx(math.exp(-0.1))
    starts = [word.start_s for word in said.words]
    assert starts == sorted(starts)
    assert (said.words[0].start_s, said.words[-1].end_s) == pytest.approx((12.0, 13.0))


def test_it_hears_the_utterance_and_a_little_around_it() -> None:
    final = Final()
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0] * 50 + [0.5] * 5 + [0] * 20)
    finalized(recognizer)
    (heard,) = final.heard
    assert len(heard) / RATE == pytest.approx(1.0 + 2 * 0.8, abs=0.01)
    assert np.count_nonzero(heard) == 5 * BLOCK_S * RATE


@pytest.mark.parametrize(
    "final", [Final(log_probability=LEAST_LOG_PROBABILITY - 0.01), Final(text="")]
)
def test_where_the_final_pass_is_unsure_the_streamed_text_stands(final: Final) -> None:
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    said = finalized(recognizer)
    assert (said.text, said.recognized_by) == (" ".join(["streamed"] * 3), "streaming")


def test_after_words_that_only_one_pass_heard_partial_ones_are_doubted_too() -> None:
    final = Final("Other words than those.", LEAST_LOG_PROBABILITY - 1)
    recognizer = TwoPass(Streaming(), final)
    now = speak(recognizer, 0.0, [0.5] * 3)
    assert recognizer.partial().confidence == 0.5
    now = speak(recognizer, now, [0] * 5)
    assert finalized(recognizer).confidence == 0
    now = speak(recognizer, now, [0.5] * 3)
    assert recognizer.partial().confidence == 0
    final.said = UtteranceText("Streamed streamed streamed.", -0.1)
    now = speak(recognizer, now, [0] * 5)
    assert finalized(recognizer).recognized_by == "final"
    speak(recognizer, now, [0.5])
    assert recognizer.partial().confidence == 0.5


def test_where_nothing_was_heard_the_final_pass_rests() -> None:
    final = Final()
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0] * 10)
    assert finalized(recognizer).text == ""
    assert final.heard == []


def test_a_slow_final_pass_delays_no_tick_and_the_next_utterance_is_its_own() -> None:
    final = Final()
    final.may_answer.clear()
    recognizer = TwoPass(Streaming(), final)
    now = speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    assert recognizer.finalize(0.01) is None
    now = speak(recognizer, now, [0.25] * 2)
    assert recognizer.finalize(0.01) is None
    final.may_answer.set()
    said = finalized(recognizer)
    assert said.recognized_by == "final"
    speak(recognizer, now, [0] * 5)
    finalized(recognizer)
    first, second = final.heard
    assert set(np.unique(first)) == {0, 0.5}
    assert np.count_nonzero(second == 0.25) == 2 * BLOCK_S * RATE
    assert 0.5 not in second


def test_a_final_pass_that_fails_is_raised_where_stages_are_guarded() -> None:
    class Broken(Final):
        def recognize(self, samples: NDArray[np.float32]) -> UtteranceText:
            raise ValueError("no such weights")

    recognizer = TwoPass(Streaming(), Broken())
    speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    with pytest.raises(ValueError, match="no such weights"):
        finalized(recognizer)
    recognizer.reset()
    assert recognizer.partial().text == ""


def test_what_is_kept_of_endless_speech_is_bounded() -> None:
    final = Final()
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0.5] * 500)
    finalized(recognizer)
    assert len(final.heard[0]) / RATE <= 31


def test_all_recognizers_of_a_process_share_one_thread() -> None:
    used: list[str] = []

    class Noting(Final):
        def recognize(self, samples: NDArray[np.float32]) -> UtteranceText:
            used.append(threading.current_thread().name)
            return super().recognize(samples)

    for _ in range(3):
        recognizer = TwoPass(Streaming(), Noting())
        speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
        finalized(recognizer)
    assert len(set(used)) == 1
    assert used[0] != threading.current_thread().name


def test_a_reset_forgets_what_was_under_way() -> None:
    with ThreadPoolExecutor(1) as pool:
        final = Final()
        final.may_answer.clear()
        recognizer = TwoPass(Streaming(), final, pool.submit)
        now = speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
        assert recognizer.finalize(0.0) is None
        recognizer.reset()
        final.may_answer.set()
        assert recognizer.partial().text == ""
        speak(recognizer, now, [0] * 5)
        assert finalized(recognizer).text == ""
        assert isinstance(pool.submit(int), Future)
