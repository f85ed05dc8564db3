"""Comparison of a bundle's speech detector with Silero VAD, in the device's stage.

    mera-edge results vad DATA [--bundle DIR] [--silero FILE] > vad.json

All speakers and noises are held out: RAVDESS actors 23 and 24, the test part of speechocean762,
EmoDB, Urdu, fold 10 of UrbanSound8K.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.features.fbank import SAMPLE_RATE, log_mel
from mera_edge.metrics.confusion import drawn_rates
from mera_edge.stages.vad import HANGOVER_S, ONSET_S, SURE, UNSURE, VoiceActivity
from mera_train.audio import read
from mera_train.vad import sounds, teacher
from mera_train.voice.data import NOISE, RAVDESS, TEST_SPEAKERS, location, rows

Samples = NDArray[np.float32]
Detector = Callable[[Samples], NDArray[np.bool_]]
"""Maps a recording to speech activity, every 40 ms."""

SPEECH = (RAVDESS, "speechocean762", "emodb_4class", "urdu")
SNRS_DB = (None, 10.0, 0.0)
GAINS_DB = (-40.0, 0.0, 40.0)
STEP = SAMPLE_RATE // 25


def measure(data: Path, bundle: Bundle, silero: Path, most: int) -> dict[str, Any]:
    """Return the shares of time and of recordings in which each detector finds speech.

    Also ``lost_95``, the 95 % interval of how much more of the time Silero finds it, by bootstrap
    over recordings.
    """
    generator = np.random.default_rng(0)
    detectors: dict[str, Detector] = {"ours": ours(bundle), "silero": theirs(silero)}
    noise = [
        read(location(data, NOISE), row["file"]) for row in rows(data, NOISE) if row["fold"] == "10"
    ]
    answers: dict[str, Any] = {}
    for corpus in SPEECH:
        recordings = _speech(data, corpus, most)
        for snr in SNRS_DB:
            mixed = [_mixed(r, noise, snr, generator) for r in recordings]
            name = f"{corpus}, {'clean' if snr is None else f'{snr:g} dB'}"
            answers[name] = _compared(mixed, detectors)
        for gain in GAINS_DB:
            loud = [np.clip(r * 10 ** (gain / 20), -1, 1).astype(np.float32) for r in recordings]
            answers[f"{corpus}, gain {gain:g} dB"] = _compared(loud, detectors)
    answers["noise, fold 10"] = _compared(noise, detectors)
    for kind in sounds.KINDS:
        made = [sounds.make(kind, 6, np.random.default_rng([1, i])) for i in range(20)]
        answers[f"made {kind}"] = _compared(made, detectors)
    return answers


def ours(bundle: Bundle) -> Detector:
    """Run the device's stage."""
    activity = VoiceActivity(bundle)

    def detect(samples: Samples) -> NDArray[np.bool_]:
        activity.reset()
        said = []
        for chunk in np.array_split(log_mel(samples), max(1, len(samples) // STEP)):
            activity.accept(chunk)
            said.append(activity.speaking)
        return np.array(said)

    return detect


def theirs(model: Path) -> Detector:
    """Run Silero with the same rules for start and end of speech."""

    def detect(samples: Samples) -> NDArray[np.bool_]:
        probabilities = teacher.speech(samples, model, max(1, len(samples) // STEP) * 4)[::4]
        likely = unlikely = 0
        speaking, said = False, []
        for p in probabilities:
            likely = likely + 1 if p >= SURE else 0
            unlikely = unlikely + 1 if p < UNSURE else 0
            speaking = unlikely < HANGOVER_S * 25 if speaking else likely >= ONSET_S * 25
            said.append(speaking)
        return np.array(said)

    return detect


def _speech(data: Path, corpus: str, most: int) -> list[Samples]:
    speakers = TEST_SPEAKERS.get(corpus)
    files = [
        row["file"]
        for row in rows(data, corpus)
        if row.get("split", "test") == "test" and (speakers is None or row["actor"] in speakers)
    ]
    chosen = np.random.default_rng(0).permutation(len(files))[:most]
    return [read(location(data, corpus), files[i]) for i in chosen]


def _mixed(
    speech: Samples, noise: Sequence[Samples], snr: float | None, generator: np.random.Generator
) -> Samples:
    if snr is None:
        return speech
    bed = np.resize(noise[int(generator.integers(len(noise)))], len(speech))
    gain = np.sqrt(np.mean(speech**2) / max(np.mean(bed**2), 1e-12)) * 10 ** (-snr / 20)
    mixed: Samples = (speech + gain * bed).astype(np.float32)
    return mixed


def _compared(recordings: Sequence[Samples], detectors: dict[str, Detector]) -> dict[str, Any]:
    said = {name: [detect(r) for r in recordings] for name, detect in detectors.items()}
    spoken = {name: np.array([s.sum() for s in each]) for name, each in said.items()}
    lengths = np.array([len(s) for s in said["ours"]])
    lost = drawn_rates(np.stack([spoken["silero"] - spoken["ours"], lengths], 1))
    return {
        "n": len(recordings),
        **{
            name: {
                "time": round(float(spoken[name].sum() / lengths.sum()), 4),
                "recordings": round(float(np.mean(spoken[name] > 0)), 4),
            }
            for name in detectors
        },
        "lost_95": [round(float(edge), 4) for edge in np.percentile(lost, (2.5, 97.5))],
    }
