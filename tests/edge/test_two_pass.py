"""Two passes: the final text replaces the streamed one where it is sure, and delays nothing."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Alternatives, Words
from mera_edge.asr.final_text import LEAST_LOG_PROBABILITY, STRANGE_LOG_PROBABILITY, confidences
from mera_edge.asr.protocol import Hypothesis, Word, finalized
from mera_edge.asr.two_pass import TwoPass
from mera_edge.asr.utterance import UtteranceText
from mera_edge.features.audio import AudioBlock

RATE, BLOCK_S = 16_000, 0.2


def said(text: str, log_probability: float) -> UtteranceText:
    return UtteranceText(text, log_probability, (log_probability,) * len(text.split()))


class Streaming:
    """Hears a word in every block of sound that is not silent."""

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
        self.said = said(text, log_probability)
        self.heard: list[NDArray[np.float32]] = []
        self.streamed: list[Alternatives | None] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def recognize(
        self, samples: NDArray[np.float32], streamed: Alternatives | None = None
    ) -> UtteranceText:
        self.heard.append(samples)
        self.streamed.append(streamed)
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
    assert 0.9 < said.confidence < 1
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


def test_where_the_final_pass_is_unsure_the_streamed_text_stands() -> None:
    final = Final("Streamed streamed words.", LEAST_LOG_PROBABILITY - 0.01)
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    ended = finalized(recognizer)
    assert (ended.text, ended.recognized_by) == (" ".join(["streamed"] * 3), "streaming")
    assert ended.confidence == pytest.approx(0.5 * 2 / 3)


@pytest.mark.parametrize("text", ["", "Gut so, oder?"])
def test_text_that_neither_pass_is_sure_of_is_dropped(text: str) -> None:
    final = Final(text, STRANGE_LOG_PROBABILITY - 0.01)
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    ended = finalized(recognizer)
    assert (ended.text, ended.words, ended.confidence) == ("", (), 0.0)


@given(st.floats(-10, 0), st.floats(-10, 0), st.floats(0, 5))
def test_a_less_likely_word_is_less_surely_right(
    word: float, utterance: float, less: float
) -> None:
    def right(word: float, utterance: float) -> float:
        return confidences(UtteranceText("word", utterance, (word,)))[0]

    assert 0 < right(word - less, utterance) <= right(word, utterance) < 1
    assert right(word, utterance - less) <= right(word, utterance)


class Spelled:
    """Finds texts the likelier the fewer words they have."""

    texts = (("other", "words"), ("words",))

    def scores(self, texts: Iterable[Words]) -> dict[Words, float]:
        return {text: -float(len(text)) for text in texts}


class Weighing(Streaming):
    """Says what else it may have been."""

    def finalize(self, within_s: float) -> Hypothesis | None:
        found = super().finalize(within_s)
        return found and replace(found, alternatives=Spelled())


def test_where_the_final_pass_is_unsure_both_passes_are_asked_together() -> None:
    unsure = said("Streamed, streamed words.", LEAST_LOG_PROBABILITY - 0.01)
    final = Final()
    final.said = replace(unsure, joint=said("Streamed, streamed, streamed.", -0.5))
    recognizer = TwoPass(Weighing(), final)
    speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    ended = finalized(recognizer)
    assert (ended.text, ended.recognized_by) == ("Streamed, streamed, streamed.", "final")
    assert isinstance(final.streamed[-1], Spelled)
    # Words that are hardly anything that both heard are shown, but not believed.
    final.said = replace(unsure, text="Quite another text here", joint=final.said.joint)
    speak(recognizer, 2.0, [0.5] * 3 + [0] * 5)
    assert finalized(recognizer).confidence == 0


@pytest.mark.parametrize(("log_probability", "again"), [(-0.1, 0), (-0.4, 1)])
def test_complete_run_is_repeated_only_for_joint_rescoring(
    log_probability: float, again: int
) -> None:
    final = Final("Streamed streamed streamed", log_probability)
    recognizer = TwoPass(Weighing(), final)
    grow(recognizer, [0.5] * 3 + [0] * 5)
    before = len(final.streamed)
    finalized(recognizer)
    assert [isinstance(streamed, Spelled) for streamed in final.streamed[before:]] == [True] * again


def test_partial_words_are_uncertain_after_the_passes_disagreed() -> None:
    final = Final("Other words than those.", LEAST_LOG_PROBABILITY - 1)
    recognizer = TwoPass(Streaming(), final)
    now = speak(recognizer, 0.0, [0.5] * 3)
    assert recognizer.partial().confidence == 0.25, "nothing was understood yet"
    now = speak(recognizer, now, [0] * 5)
    assert finalized(recognizer).confidence == 0
    now = speak(recognizer, now, [0.5] * 3)
    assert recognizer.partial().confidence == 0
    final.said = said("Streamed streamed streamed.", -0.1)
    now = speak(recognizer, now, [0] * 5)
    assert finalized(recognizer).recognized_by == "final"
    speak(recognizer, now, [0.5])
    assert recognizer.partial().confidence == 0.5


def test_after_a_strange_utterance_the_final_pass_alone_is_not_believed() -> None:
    final = Final("Other words than those.", STRANGE_LOG_PROBABILITY - 1)
    recognizer = TwoPass(Streaming(), final)
    now = speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    finalized(recognizer)
    final.said = said("Never said at all.", -0.1)
    now = speak(recognizer, now, [0.5] * 3 + [0] * 5)
    assert finalized(recognizer).recognized_by == "streaming"
    final.said = said("Streamed streamed it.", -0.1)
    now = speak(recognizer, now, [0.5] * 3 + [0] * 5)
    assert finalized(recognizer).recognized_by == "final"
    final.said = said("Never said at all.", -0.1)
    speak(recognizer, now, [0.5] * 3 + [0] * 5)
    assert finalized(recognizer).recognized_by == "final", "believed again once it was understood"


def test_final_pass_rests_without_words() -> None:
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
    assert recognizer.is_waiting
    final.may_answer.set()
    said = finalized(recognizer)
    assert not recognizer.is_waiting
    assert said.recognized_by == "final"
    speak(recognizer, now, [0] * 5)
    finalized(recognizer)
    first, second = final.heard
    assert set(np.unique(first)) == {0, 0.5}
    assert np.count_nonzero(second == 0.25) == 2 * BLOCK_S * RATE
    assert 0.5 not in second


def test_a_final_pass_that_fails_is_raised_where_stages_are_guarded() -> None:
    class Broken(Final):
        def recognize(
            self, samples: NDArray[np.float32], streamed: Alternatives | None = None
        ) -> UtteranceText:
            raise ValueError("no such weights")

    recognizer = TwoPass(Streaming(), Broken())
    speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
    with pytest.raises(ValueError, match="no such weights"):
        finalized(recognizer)
    recognizer.reset()
    assert recognizer.partial().text == ""


def test_speech_without_an_endpoint_loses_no_words() -> None:
    final = Final()
    recognizer = TwoPass(Streaming(), final)
    speak(recognizer, 0.0, [0.5] * 500)
    assert len(finalized(recognizer).words) == 500
    assert final.heard == []


def test_all_recognizers_of_a_process_share_one_thread() -> None:
    used: list[str] = []

    class Noting(Final):
        def recognize(
            self, samples: NDArray[np.float32], streamed: Alternatives | None = None
        ) -> UtteranceText:
            used.append(threading.current_thread().name)
            return super().recognize(samples)

    for _ in range(3):
        recognizer = TwoPass(Streaming(), Noting())
        speak(recognizer, 0.0, [0.5] * 3 + [0] * 5)
        finalized(recognizer)
    assert len(set(used)) == 1
    assert used[0] != threading.current_thread().name


def test_reset_discards_a_pending_run() -> None:
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


class Growing(Final):
    """Hears a word in every quarter of a second of speech, every other one as it was streamed; the
    newest is a guess."""

    def recognize(
        self, samples: NDArray[np.float32], streamed: Alternatives | None = None
    ) -> UtteranceText:
        words = round(4 * np.count_nonzero(samples) / RATE)
        heard = [f"w{i}" if i % 2 else "streamed" for i in range(words)]
        self.said = said(" ".join([*heard, f"guess{words}"]), -0.1)
        return super().recognize(samples)


def grow(recognizer: TwoPass, levels: list[float], within_s: float = math.inf) -> list[Hypothesis]:
    """Feed blocks, let the final pass settle after each, and return what is shown."""
    shown = []
    for number in range(len(levels)):
        speak(recognizer, number * BLOCK_S, levels[number : number + 1])
        recognizer.refine_partial(within_s)
        shown.append(recognizer.partial())
    return shown


def test_words_that_two_runs_agree_on_are_settled_and_newer_ones_are_streamed() -> None:
    shown = grow(TwoPass(Streaming(), Growing()), [0.5] * 25)
    assert {s.recognized_by for s in shown[:5]} == {"streaming"}
    newest = shown[-1]
    assert newest.recognized_by == "final" and not newest.final and newest.took_s > 0
    assert newest.text.startswith("streamed w1 streamed w3") and newest.text.endswith("streamed")
    assert newest.settled > 4
    for earlier, later in pairwise(shown):
        kept = [word.text for word in earlier.words[: earlier.settled]]
        assert kept == [word.text for word in later.words[: len(kept)]]
    times = [word.start_s for word in newest.words]
    assert times == sorted(times)


def test_where_the_final_pass_is_unsure_of_the_growing_words_the_streamed_ones_are_shown() -> None:
    final = Final(log_probability=LEAST_LOG_PROBABILITY - 0.1)
    shown = grow(TwoPass(Streaming(), final), [0.5] * 25)
    assert len(final.heard) > 2
    assert {s.recognized_by for s in shown} == {"streaming"}
    assert {s.settled for s in shown} == {0}


def test_long_utterances_are_rerun_less_often() -> None:
    final = Growing()
    grow(TwoPass(Streaming(), final), [0.5] * 100)
    heard_s = sum(len(samples) for samples in final.heard) / RATE
    assert 4 < len(final.heard) < 14
    assert heard_s < 5 * 20


def test_silence_starts_no_run_and_the_last_run_is_final() -> None:
    final = Growing()
    recognizer = TwoPass(Streaming(), final)
    grow(recognizer, [0.5] * 10 + [0] * 30)
    runs = len(final.heard)
    assert runs <= 3
    ended = finalized(recognizer)
    assert len(final.heard) == runs
    assert ended.text.split()[1:8:2] == ["w1", "w3", "w5", "w7"]


def test_a_tick_does_not_wait_for_the_growing_words() -> None:
    final = Growing()
    final.may_answer.clear()
    recognizer = TwoPass(Streaming(), final)
    shown = grow(recognizer, [0.5] * 25, within_s=0.01)
    assert {s.recognized_by for s in shown} == {"streaming"}
    assert len(final.heard) <= 1, "one run at a time"
    final.may_answer.set()
    assert finalized(recognizer).recognized_by == "final"


def test_a_run_that_takes_long_makes_the_next_wait() -> None:
    with ThreadPoolExecutor(1) as pool:
        final = Growing()
        final.may_answer.clear()
        recognizer = TwoPass(Streaming(), final, pool.submit)
        grow(recognizer, [0.5] * 10, within_s=0.01)
        time.sleep(0.2)
        final.may_answer.set()
        pool.submit(int).result()
        for _ in range(20):
            recognizer.refine_partial(0.01)
        assert len(final.heard) == 1


def test_a_pause_is_taken_for_the_end_so_that_the_final_text_need_not_be_waited_for() -> None:
    with ThreadPoolExecutor(1) as pool:
        final = Final()
        recognizer = TwoPass(Streaming(), final, pool.submit)

        def live(level: float, end_s: float, pause_s: float) -> None:
            recognizer.accept(replace(block(level, end_s), speaking=True, pause_s=pause_s))
            recognizer.refine_partial(0.01)
            pool.submit(int).result()

        live(0.5, 0.2, 0.0)
        live(0.0, 0.4, 0.2)
        assert not final.heard
        live(0.0, 0.6, 0.4)
        live(0.0, 0.8, 0.6)
        assert [len(samples) / RATE for samples in final.heard] == [pytest.approx(0.6)]
        said = recognizer.finalize(0.01)
        assert said is not None and said.recognized_by == "final", "known at once"
        assert len(final.heard) == 1
        time.sleep(0.1)  # in which the thread rests, after what it did
        for end_s, pause_s in ((1.0, 0.0), (1.2, 0.2), (1.4, 0.4), (1.6, 0.0)):
            live(0.0 if pause_s else 0.5, end_s, pause_s)
        assert len(final.heard) == 2, "a pause that was none"
        assert finalized(recognizer).recognized_by == "final"
        assert [len(samples) / RATE for samples in final.heard[2:]] == [pytest.approx(0.8)]


def test_the_next_utterance_hears_no_word_of_the_one_before() -> None:
    final = Final()
    recognizer = TwoPass(Streaming(), final)
    now = speak(recognizer, 0.0, [0.5] * 10)
    finalized(recognizer)
    speak(recognizer, now, [0.25] * 10)
    finalized(recognizer)
    first, second = final.heard
    assert set(np.unique(first)) == {0.5}
    assert set(np.unique(second)) == {0.25}


def test_words_of_a_single_run_are_not_shown() -> None:
    class Fickle(Final):
        def recognize(
            self, samples: NDArray[np.float32], streamed: Alternatives | None = None
        ) -> UtteranceText:
            self.said = said(f"okay{len(samples)} so", -0.1)
            return super().recognize(samples)

    final = Fickle()
    shown = grow(TwoPass(Streaming(), final), [0.5] * 25)
    assert len(final.heard) > 2
    assert {s.recognized_by for s in shown} == {"streaming"}


def test_growing_words_that_the_streaming_pass_did_not_hear_at_all_are_not_shown() -> None:
    shown = grow(TwoPass(Streaming(), Final("The ultimate aim is this.")), [0.5] * 25)
    assert {s.recognized_by for s in shown} == {"streaming"}
