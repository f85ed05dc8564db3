"""What is left when modalities, or frames of them, are missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mera_train.fusion.supervision import SUBSETS
from mera_train.msa.data import MODALITIES, Corpus, Examples, dropped
from mera_train.msa.models import Network
from mera_train.msa.task import figures

RATES = tuple(round(0.1 * tenth, 1) for tenth in range(11))
"""Shares of frames that are dropped; 0 drops none."""


def subsets(network: Network, examples: Examples, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Figures of every subset of modalities, by ``text + audio`` and the like, all first.

    A modality that is taken away has length 0, as where the camera is covered.
    """
    found = {}
    for kept in SUBSETS:
        present = torch.tensor(kept).expand(len(examples), -1)
        found[subset_name(kept)] = figures(network, examples, corpus, present)
    return found


def subset_name(kept: Sequence[float]) -> str:
    """Return the modalities that are kept, in words."""
    return " + ".join(name for name, here in zip(MODALITIES, kept, strict=True) if here)


def curve(
    network: Network, examples: Examples, corpus: Corpus, draws: int = 3
) -> list[dict[str, float]]:
    """Figures at each of `RATES`, the mean of some draws of what is dropped."""
    means = {name: network.inputs.get_buffer(f"{name}_mean").cpu().numpy() for name in MODALITIES}
    rows = []
    for rate in RATES:
        found = [
            figures(network, dropped(examples, rate, means, draw), corpus) for draw in range(draws)
        ]
        rows.append({name: float(np.mean([f[name] for f in found])) for name in found[0]})
    return rows


def area(values: Sequence[float]) -> float:
    """Area under a curve over `RATES` (trapezoids), which span 1: the mean over all rates."""
    heights = np.asarray(values, np.float64)
    return float(((heights[1:] + heights[:-1]) / 2 * np.diff(RATES)).sum())
