"""Evaluation of a bundle's voice encoder on unseen speakers, at several levels.

    mera-edge results strangers DATA [--bundle DIR] [--corpus NAME ...]

Recordings are processed as on the device, from the start to the end of the detected speech. The
speech detector is the default bundle's, so that bundles without one can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.features.fbank import log_mel
from mera_edge.labels import EMOTIONS, to_emotion
from mera_edge.metrics.classification import classification
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage
from mera_train.audio import read
from mera_train.voice.data import DEV_SPEAKERS, TEST_SPEAKERS, location, speech, thinned

GAINS_DB = (-40, -20, -10, 10, 20, 40)
"""Values beyond full scale are clipped, as in an A/D converter."""

Samples = NDArray[np.float32]


class VoicePredictor:
    """Runs a bundle's voice encoder on recordings."""

    def __init__(self, bundle: Bundle) -> None:
        self._voice, self._activity = VoiceStage(bundle), VoiceActivity(Bundle.open())

    def predict(self, samples: Samples) -> NDArray[np.float32] | None:
        """Return the seven probabilities at the end of speech; ``None`` without speech."""
        frames = log_mel(samples)
        span = self._activity.span(frames)
        if span is None:
            return None
        self._voice.reset()
        evidence = self._voice.accept(frames[slice(*span)], 0.0)
        return None if evidence is None else evidence.probabilities


def measure(data: Path, predictor: VoicePredictor, corpus: str, share: float) -> dict[str, Any]:
    """Return metrics on one corpus; of training corpora only the held-out speakers are used.

    Args:
        data: directory of the corpora.
        predictor: the encoder to evaluate.
        corpus: its name.
        share: share of recordings that are also tested at other levels and with clipping.
    """
    speakers = TEST_SPEAKERS.get(corpus) or DEV_SPEAKERS.get(corpus)
    rows = [u for u in speech(data, corpus) if speakers is None or u.speaker in speakers]
    recordings = [read(location(data, corpus), u.file) for u in rows]
    answers = [predictor.predict(samples) for samples in recordings]
    undecided = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)
    probabilities = np.stack([undecided if a is None else a for a in answers])
    truth, people = [to_emotion(u.label) for u in rows], [u.speaker for u in rows]
    found = classification(truth, probabilities, EMOTIONS, people=people)
    said = probabilities.argmax(1)
    kept = ("n", "people", "accuracy", "uar", "macro_f1", "ece", "interval_95")
    return {
        **{name: found[name] for name in kept},
        "recall": {label: row["recall"] for label, row in found["per_class"].items()},
        "unheard": sum(answer is None for answer in answers),
        "answered": {e: round(float(np.mean(said == i)), 3) for i, e in enumerate(EMOTIONS)},
        "label_kept": _kept(predictor, thinned(list(zip(recordings, answers, strict=True)), share)),
    }


def _kept(
    predictor: VoicePredictor, heard: Sequence[tuple[Samples, NDArray[np.float32] | None]]
) -> dict[str, float]:
    """Return the share of recordings whose top label is unchanged, by gain."""
    shares = {}
    for gain in GAINS_DB:
        same = [
            _label(predictor.predict(np.clip(samples * 10 ** (gain / 20), -1, 1))) == _label(answer)
            for samples, answer in heard
        ]
        shares[f"{gain:+d} dB"] = round(float(np.mean(same)), 4)
    return shares


def _label(answer: NDArray[np.float32] | None) -> int | None:
    return None if answer is None else int(answer.argmax())
