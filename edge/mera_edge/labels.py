"""The seven emotions, and the mapping of corpus labels to them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError

EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")

ModalityName = Literal["voice", "face", "text"]
MODALITIES: tuple[ModalityName, ...] = get_args(ModalityName)
MODALITY_NAMES: dict[ModalityName, str] = {"voice": "voice", "face": "face", "text": "words"}
"""Names for users."""

VALENCE = {
    "neutral": 0.0,
    "happy": 0.8,
    "sad": -0.6,
    "angry": -0.6,
    "fear": -0.6,
    "disgust": -0.6,
    "surprise": 0.2,
}
"""Valence in [-1, 1] of each emotion, for corpora without ratings of valence: coarse positions on
the pleasure axis of the circumplex model of affect (Russell, 1980)."""

_VALENCES = np.array([VALENCE[name] for name in EMOTIONS], np.float32)

_ALIASES = {
    "neutral": "neutral calm",
    "happy": "happy happiness joy joyful joyous amused",
    "sad": "sad sadness",
    "angry": "angry anger mad",
    "fear": "fear fearful afraid scared",
    "disgust": "disgust disgusted",
    "surprise": "surprise surprised",
}
_EMOTION_OF = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
OUTSIDE = frozenset({"contempt"})
"""Labels outside the seven emotions, which classifiers may have; they never appear in events."""


def to_emotion(name: str) -> str:
    """Map a corpus label to one of `EMOTIONS` (``"Happiness"`` -> ``"happy"``).

    Raises:
        InputError: the label is unknown; the message suggests the nearest known one.
    """
    emotion = _EMOTION_OF.get(name.strip().lower())
    if emotion is None:
        near = get_close_matches(name.strip().lower(), _EMOTION_OF, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known labels: {', '.join(EMOTIONS)}"
        raise InputError(f"{name!r} is not an emotion label", hint)
    return emotion


def project(probabilities: NDArray[np.floating], names: Sequence[str]) -> NDArray[np.float32]:
    """Map a classifier's probabilities over its own labels to the seven emotions.

    Args:
        probabilities: ``[..., C]`` over ``names``.
        names: the classifier's ``C`` labels, for example RAVDESS's eight with *calm*.

    Returns:
        ``[..., 7]`` in the order of `EMOTIONS`, summing to one: labels of the same emotion are
        added, labels outside the seven are dropped and the rest is renormalised.
    """
    if tuple(names) == EMOTIONS:
        return probabilities.astype(np.float32)
    seven = np.zeros((*probabilities.shape[:-1], len(EMOTIONS)), np.float32)
    for column, name in enumerate(names):
        if name not in OUTSIDE:
            seven[..., EMOTIONS.index(to_emotion(name))] += probabilities[..., column]
    total = seven.sum(axis=-1, keepdims=True)
    # All probability is outside the seven: return a uniform distribution.
    unknown = total < 1e-6
    return np.where(unknown, np.float32(1 / len(EMOTIONS)), seven / np.where(unknown, 1, total))


def expected_valence(probabilities: NDArray[np.float32]) -> float:
    """Return the expectation of `VALENCE` under the probabilities ``[7]`` of `EMOTIONS`."""
    return float(probabilities @ _VALENCES)
