"""The gate opens for speech, stays open in pauses, and learns steady noise."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.stages.vad import HANGOVER, VoiceActivity


def noise(seconds: float, decibel: float, seed: int = 0) -> NDArray[np.float32]:
    """White noise at a level in dB of full scale."""
    samples = np.random.default_rng(seed).normal(0, 10 ** (decibel / 20), int(seconds * 16000))
    return samples.astype(np.float32)


def heard(samples: NDArray[np.float32], piece: int = 160) -> list[bool]:
    """Whether somebody speaks, after every 10 ms."""
    activity, answers = VoiceActivity(), []
    for start in range(0, len(samples), piece):
        activity.accept(samples[start : start + piece])
        answers.append(activity.speaking)
    return answers


def test_silence_is_nobody_speaking() -> None:
    assert not any(heard(np.zeros(SAMPLE_RATE, np.float32)))


def test_a_constant_offset_is_no_sound() -> None:
    assert not any(heard(np.full(SAMPLE_RATE, 0.3, np.float32)))


def test_speech_opens_the_gate_and_a_pause_between_words_does_not_close_it() -> None:
    word, pause = noise(0.4, -25), noise(0.3, -70)
    answers = heard(np.concatenate([pause, word, pause, word, pause, pause, pause, pause]))
    assert not any(answers[:30])
    assert all(answers[35:140])
    assert not answers[-1]


def test_steady_noise_becomes_the_floor_and_louder_speech_is_still_heard() -> None:
    answers = heard(np.concatenate([noise(8, -40), noise(0.5, -20)]))
    assert not any(answers[600:799])
    assert answers[-1]


def test_what_is_no_number_is_silence_and_does_no_harm() -> None:
    broken = np.full(SAMPLE_RATE, np.nan, np.float32)
    assert not any(heard(broken))
    assert heard(np.concatenate([broken, noise(0.3, -20)]))[-1]


def test_reset_equals_a_new_one() -> None:
    activity = VoiceActivity()
    activity.accept(noise(6, -30))
    activity.reset()
    answers, sound = [], noise(1, -45, seed=1)
    for start in range(0, len(sound), 160):
        activity.accept(sound[start : start + 160])
        answers.append(activity.speaking)
    assert answers == heard(sound)


levels = st.lists(st.floats(-90, 0), min_size=1, max_size=20)


@given(levels, st.integers(1, 5000))
@settings(max_examples=30)
def test_how_the_sound_is_cut_does_not_matter(decibels: list[float], piece: int) -> None:
    sound = np.concatenate([noise(0.1, level) for level in decibels])
    assert heard(sound, piece)[-1] == heard(sound)[-1]


@given(levels)
@settings(max_examples=30)
def test_the_gate_never_flutters(decibels: list[float]) -> None:
    """Once open it stays open for the hangover at least."""
    answers = heard(np.concatenate([noise(0.1, level) for level in decibels]))
    changes = np.flatnonzero(np.diff([False, *answers]))
    for opened, closed in zip(changes[::2], changes[1::2], strict=False):
        assert closed - opened >= HANGOVER
