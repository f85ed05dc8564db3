"""Utterances end where the speech detector hears no more speech, and lose no word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.asr.endpoint import Decoded, Endpoint
from mera_edge.config import RecognitionSettings
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import BINS

RULES = RecognitionSettings()
NOTHING = np.zeros((0, BINS), np.float32)


def heard(speech: list[bool | None], rules: RecognitionSettings = RULES) -> Endpoint:
    """An endpoint that was told every 0.2 s whether somebody speaks."""
    endpoint = Endpoint(rules)
    for number, speaking in enumerate(speech, start=1):
        endpoint.accept(AudioBlock(NOTHING, number * 0.2, speaking=speaking))
    return endpoint


def test_it_is_over_once_all_speech_is_decoded() -> None:
    endpoint = heard([True] * 10 + [False])
    assert not endpoint.reached(Decoded(0.0, 1.92, 1.4))
    assert endpoint.reached(Decoded(0.0, 2.56, 1.4))


def test_speech_without_words_is_no_silence() -> None:
    endpoint = heard([True] * 40)
    assert not endpoint.reached(Decoded(0.0, 8.0, 2.0))
    assert not endpoint.reached(Decoded(0.0, 8.0, None))


@pytest.mark.parametrize("speech", [[None] * 40, [False] * 40])
def test_without_detected_speech_the_decoded_words_decide_the_end(
    speech: list[bool | None],
) -> None:
    endpoint = heard(speech)
    assert not endpoint.reached(Decoded(0.0, 3.0, 2.0))
    assert endpoint.reached(Decoded(0.0, 3.3, 2.0))
    assert not endpoint.reached(Decoded(0.0, 2.0, None))
    assert endpoint.reached(Decoded(0.0, 2.6, None))


def test_speech_of_the_utterance_before_does_not_end_this_one() -> None:
    endpoint = heard([True] * 10 + [False] * 5)
    assert not endpoint.reached(Decoded(2.5, 3.0, 2.9))


def test_long_speech_is_cut_between_words_but_not_for_ever() -> None:
    endpoint = heard([True] * 200)
    assert not endpoint.reached(Decoded(0.0, 19.0, 10.0))
    assert not endpoint.reached(Decoded(0.0, 21.0, 20.9))
    assert endpoint.reached(Decoded(0.0, 21.0, 20.75))
    assert endpoint.reached(Decoded(0.0, 25.0, 25.0))


@given(st.lists(st.sampled_from([True, False, None]), max_size=30), st.floats(0, 60))
def test_no_utterance_is_longer_than_a_quarter_more_than_is_asked_for(
    speech: list[bool | None], length_s: float
) -> None:
    longest_s = 1.25 * RULES.rule3_min_utterance_length
    reached = heard(speech).reached(Decoded(0.0, length_s, length_s))
    assert reached or length_s < longest_s
