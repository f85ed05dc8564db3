"""Speech opens the gate at any level; what is not speech does not; pauses between words stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import sawtooth

from mera_edge.bundle import Bundle
from mera_edge.features.fbank import SAMPLE_RATE, log_mel
from mera_edge.stages.vad import HANGOVER_S, VoiceActivity

Samples = NDArray[np.float32]
T = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE


@pytest.fixture(scope="module")
def activity() -> VoiceActivity:
    return VoiceActivity(Bundle.open())


def noise(seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 1, len(T)).astype(np.float32)


def heard(activity: VoiceActivity, samples: Samples, piece: int = 4) -> list[bool]:
    """Whether somebody speaks, after every ``piece`` frames."""
    activity.reset()
    frames = log_mel(samples.astype(np.float32))
    return [
        activity.accept(frames[start : start + piece]) for start in range(0, len(frames), piece)
    ]


def chord(*hertz: float) -> Samples:
    return np.sum([sawtooth(2 * np.pi * pitch * T) for pitch in hertz], axis=0)


NOT_SPEECH = {
    "silence": 0 * T,
    "a constant offset": 0 * T + 0.3,
    "white noise": noise(),
    "brown noise": np.cumsum(noise()) / 100,
    "bursts of noise": noise() * (T * 3 % 1 < 0.2),
    "a beep": np.sin(2 * np.pi * 1000 * T),
    "an alarm": np.sign(np.sin(2 * np.pi * 800 * T)) * (T * 2 % 1 < 0.5),
    "mains hum": sum(np.sin(2 * np.pi * 50 * k * T) / k for k in range(1, 8)),
    "a siren": np.sin(2 * np.pi * np.cumsum(800 + 300 * np.sin(3 * T)) / SAMPLE_RATE),
    "a car horn": chord(420, 510),
    "chords": np.where(T % 2 < 1, chord(220, 277.2, 329.6), chord(196, 246.9, 293.7)),
    "knocking": noise() * np.exp(-40 * (T * 2 % 1)),
}


@pytest.mark.parametrize("name", NOT_SPEECH)
@pytest.mark.parametrize("decibel", [0, -30, -60])
def test_noise_tones_and_music_are_not_detected_as_speech(
    activity: VoiceActivity, name: str, decibel: float
) -> None:
    sound = NOT_SPEECH[name] / max(1e-9, np.abs(NOT_SPEECH[name]).max())
    assert not any(heard(activity, sound * 10 ** (decibel / 20)))


@pytest.mark.parametrize("decibel", [-40, -20, 0, 20, 40])
def test_speech_is_detected_at_any_level(
    activity: VoiceActivity, talk: Samples, decibel: float
) -> None:
    loud = np.clip(talk * 10 ** (decibel / 20), -1, 1)
    here, there = heard(activity, talk), heard(activity, loud)
    assert np.mean(here) > 0.5
    assert np.mean(np.equal(here, there)) > (0.95 if decibel <= 0 else 0.85)


def test_speech_after_noise_is_detected_and_ends_in_silence(
    activity: VoiceActivity, talk: Samples
) -> None:
    level = np.sqrt(np.mean(talk**2))
    answers = heard(activity, np.concatenate([noise() * level / 10, talk, np.zeros(32_000)]))
    assert not any(answers[:95])
    assert np.mean(answers[100:-50]) > 0.5
    assert not answers[-1]


def test_reset_equals_a_new_instance(activity: VoiceActivity, talk: Samples) -> None:
    heard(activity, talk[: 3 * SAMPLE_RATE])
    assert heard(activity, talk) == heard(VoiceActivity(Bundle.open()), talk)


@given(st.integers(1, 700))
@settings(max_examples=10)
def test_speech_detection_does_not_depend_on_chunk_size(
    activity: VoiceActivity, talk: Samples, piece: int
) -> None:
    frames = 4 * (len(talk) // 640)
    cut = talk[: frames * 160]
    assert heard(activity, cut, piece)[-1] == heard(activity, cut)[-1]


def test_the_gate_never_flutters(activity: VoiceActivity, talk: Samples) -> None:
    """Once open it stays open for the hangover at least."""
    answers = heard(
        activity,
        talk * np.sign(np.sin(2 * np.pi * 1.5 * np.arange(len(talk)) / 16_000)).clip(0),
    )
    changes = np.flatnonzero(np.diff([False, *answers]))
    assert len(changes) > 0
    for opened, closed in zip(changes[::2], changes[1::2], strict=False):
        assert (closed - opened) * 0.04 >= HANGOVER_S
