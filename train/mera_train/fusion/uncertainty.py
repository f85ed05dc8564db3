"""Confidence intervals on composed examples, which share recordings, pictures and sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.metrics.confusion import RESAMPLES, of_draws
from mera_train.fusion.compose import Composed


def uncertainty(
    examples: Composed, probabilities: NDArray[np.floating], columns: list[int]
) -> dict[str, Any]:
    """Return ``interval_95``, ``effective_n`` and ``sources`` of predictions on composed examples.

    Recordings, pictures and sentences are resampled independently, and an example is weighted by
    the product of the counts of its parts (pigeonhole bootstrap; Owen, 2007).

    Args:
        examples: ``n`` composed examples.
        probabilities: predictions, ``[n, 7]``.
        columns: the modalities that were used, as indices into `MODALITIES`.
    """
    cells = examples.emotions * (len(EMOTIONS) + 1) + probabilities.argmax(axis=1)
    shape = (len(EMOTIONS), len(EMOTIONS) + 1)
    random = np.random.default_rng(0)
    parts = [np.unique(examples.items[:, i], return_inverse=True) for i in columns]
    drawn = np.empty((RESAMPLES, *shape))
    for number in range(RESAMPLES):
        weights = np.ones(len(examples))
        for found, which in parts:
            weights *= random.multinomial(len(found), np.full(len(found), 1 / len(found)))[which]
        drawn[number] = np.bincount(cells, weights, np.prod(shape)).reshape(shape)
    measured = np.bincount(cells, minlength=np.prod(shape)).reshape(shape)
    sources = {MODALITIES[i]: len(part[0]) for i, part in zip(columns, parts, strict=True)}
    return {**of_draws(drawn, measured), "sources": sources}
