"""The shipped voice encoder hears how something is said, not how loud."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.features.fbank import log_mel
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

Samples = NDArray[np.float32]
Heard = tuple[VoiceActivity, VoiceStage, Samples]


@pytest.fixture(scope="module")
def heard(talk: Samples) -> Heard:
    """The stages, and three seconds of the bundled sample's talk."""
    bundle = Bundle.open()
    return VoiceActivity(bundle), VoiceStage(bundle), talk[:48_000]


def answer(heard: Heard, samples: Samples) -> NDArray[np.float32]:
    activity, stage, _ = heard
    frames = log_mel(samples.astype(np.float32))
    span = activity.span(frames)
    assert span is not None
    stage.reset()
    evidence = stage.accept(frames[slice(*span)], 0.0)
    assert evidence is not None
    return evidence.probabilities


@given(st.floats(-45, 25))
@settings(max_examples=12)
def test_voice_is_invariant_to_gain(heard: Heard, decibel: float) -> None:
    """Nothing is clipped here: samples may go beyond full scale."""
    here, there = answer(heard, heard[2]), answer(heard, heard[2] * 10 ** (decibel / 20))
    np.testing.assert_allclose(here, there, atol=0.02)


def test_audio_overdriven_by_20_db_keeps_the_label(heard: Heard) -> None:
    here, there = answer(heard, heard[2]), answer(heard, np.clip(heard[2] * 10, -1, 1))
    assert here.argmax() == there.argmax()
