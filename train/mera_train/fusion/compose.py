"""Composed examples: a real voice, face and sentence with the same emotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mera_edge.labels import EMOTIONS, MODALITIES, VALENCE
from mera_train.fusion.evidence import Pool

Floats = NDArray[np.float32]


class Composition(BaseModel):
    """Parameters of the composition."""

    model_config = ConfigDict(extra="forbid")

    examples: int = Field(20_000, ge=7, description="equally many of every emotion")
    neutral_rate: float | None = Field(
        None, ge=0, le=1, description="share of neutral ones, where people mostly are that"
    )
    degraded_rate: float = Field(0.3, ge=0, le=1, description="share of noisy, blurred, misheard")
    conflict_rate: float = Field(0.1, ge=0, le=1, description="share that shows another emotion")
    hidden_rate: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share that shows nothing: a calm voice, a still face, plain words",
    )
    correlated_error_rate: float = Field(
        0.4,
        ge=0,
        le=1,
        description="share of examples that all encoders take for the same other emotion, where "
        "they know such items: one person's modalities err together, those of strangers do not",
    )
    half_life_s: float = Field(
        15.0, gt=0, description="seconds after which evidence shows another emotion as often as not"
    )
    mean_age_s: dict[str, float] = Field(
        {"voice": 0.7, "face": 0.3, "text": 3.0}, description="mean age of the evidence"
    )


CLEAN = Composition(
    degraded_rate=0,
    conflict_rate=0,
    hidden_rate=0,
    correlated_error_rate=0,
    mean_age_s={"voice": 0, "face": 0, "text": 0},
)
"""All evidence is new, undisturbed and consistent."""


@dataclass(frozen=True)
class Composed:
    """``n`` examples; arrays are aligned by row."""

    embeddings: dict[str, Floats]
    """``[n, D]`` by modality."""
    probabilities: Floats
    """``[n, 3, 7]`` in the order of `MODALITIES`."""
    age_s: Floats
    """``[n, 3]``"""
    emotions: NDArray[np.int64]
    """``[n]`` index into `EMOTIONS`: the multimodal emotion."""
    shown: NDArray[np.int64]
    """``[n, 3]``: the true emotion of each modality."""
    items: NDArray[np.int64]
    """``[n, 3]``: indices of recording, picture and sentence (`Pool.items`)."""

    def __len__(self) -> int:
        return len(self.emotions)

    @property
    def valence(self) -> Floats:
        """``[n]``: valence of the multimodal emotion."""
        return np.array(list(VALENCE.values()), np.float32)[self.emotions]


def compose(pools: Mapping[str, Pool], how: Composition, seed: int) -> Composed:
    """Compose examples from the encoders' predictions on three corpora.

    For each modality an item with the example's emotion is drawn; with probability
    ``conflict_rate``, which grows with age, one with another emotion (masked emotions, changed
    moods). With probability ``hidden_rate`` it is neutral; with ``correlated_error_rate`` all items
    are misclassified by their encoders as the same other emotion.

    Args:
        pools: by modality; every pool has all emotions.
        how: the rates.
        seed: random seed.
    """
    random = np.random.default_rng(seed)
    n = how.examples
    emotions = _emotions(how)
    random.shuffle(emotions)
    embeddings: dict[str, Floats] = {}
    probabilities, ages, shown, items = [], [], [], []
    taken_for = (emotions + random.integers(1, len(EMOTIONS), n)) % len(EMOTIONS)
    taken_for = np.where(random.random(n) < how.correlated_error_rate, taken_for, _ANYTHING)
    for name in MODALITIES:
        pool = pools[name]
        age = random.exponential(1, n) * how.mean_age_s[name]
        stale = 0.5 * (1 - 2.0 ** -(age / how.half_life_s))
        other = (emotions + random.integers(1, len(EMOTIONS), n)) % len(EMOTIONS)
        differs = random.random(n) < how.conflict_rate + (1 - how.conflict_rate) * stale
        show = np.where(differs, other, emotions)
        if how.hidden_rate:
            show = np.where(random.random(n) < how.hidden_rate, _NEUTRAL, show)
        disturbed = random.random(n) < how.degraded_rate
        rows = _draw(pool, show, disturbed, taken_for, random)
        embeddings[name] = pool.embeddings[rows]
        probabilities.append(pool.probabilities[rows])
        ages.append(age)
        shown.append(show)
        items.append(pool.items[rows])
    return Composed(
        embeddings=embeddings,
        probabilities=np.stack(probabilities, 1).astype(np.float32),
        age_s=np.stack(ages, 1).astype(np.float32),
        emotions=emotions.astype(np.int64),
        shown=np.stack(shown, 1).astype(np.int64),
        items=np.stack(items, 1),
    )


_ANYTHING = -1
_NEUTRAL = EMOTIONS.index("neutral")


def _emotions(how: Composition) -> NDArray[np.int64]:
    """Return the emotions of the examples."""
    if how.neutral_rate is None:
        return np.arange(how.examples) % len(EMOTIONS)
    calm = round(how.neutral_rate * how.examples)
    others = [i for i in range(len(EMOTIONS)) if i != _NEUTRAL]
    felt = np.resize(np.array(others), how.examples - calm)
    return np.concatenate([np.full(calm, _NEUTRAL), felt]).astype(np.int64)


def _draw(
    pool: Pool,
    show: NDArray[np.int64],
    disturbed: NDArray[np.bool_],
    taken_for: NDArray[np.int64],
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw a row of the pool for each example, with its emotion and disturbance.

    Where ``taken_for`` is an emotion, rows that the encoder classifies as such are preferred.
    """
    rows = np.empty(len(show), np.int64)
    answers = pool.probabilities.argmax(1)
    wanted = np.stack([show, disturbed, taken_for])
    for emotion, state, answer in np.unique(wanted, axis=1).T:
        found = np.flatnonzero((pool.emotions == emotion) & (pool.disturbed == state))
        like = found[answers[found] == answer]
        here = (wanted == np.array([[emotion], [state], [answer]])).all(0)
        rows[here] = random.choice(like if len(like) else found, here.sum())
    return rows
