"""Metrics with missing modalities and missing frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mera_train.fusion.supervision import SUBSETS
from mera_train.msa.data import MODALITIES, Corpus, Examples, dropped
from mera_train.msa.models import Network
from mera_train.msa.task import figures

RATES = tuple(round(0.1 * tenth, 1) for tenth in range(11))
"""Shares of dropped frames."""


def subsets(network: Network, examples: Examples, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Return metrics by subset of modalities (``text + audio`` etc.), the full set first.

    A missing modality has length 0, as with a covered camera.
    """
    found = {}
    for kept in SUBSETS:
        present = torch.tensor(kept).expand(len(examples), -1)
        found[subset_name(kept)] = figures(network, examples, corpus, present)
    return found


def subset_name(kept: Sequence[float]) -> str:
    """Return the names of the kept modalities."""
    return " + ".join(name for name, here in zip(MODALITIES, kept, strict=True) if here)


def curve(
    network: Network, examples: Examples, corpus: Corpus, draws: int = 3
) -> list[dict[str, float]]:
    """Return metrics at each of `RATES`, averaged over random draws of dropped frames."""
    means = {name: network.inputs.get_buffer(f"{name}_mean").cpu().numpy() for name in MODALITIES}
    rows = []
    for rate in RATES:
        found = [
            figures(network, dropped(examples, rate, means, draw), corpus) for draw in range(draws)
        ]
        rows.append({name: float(np.mean([f[name] for f in found])) for name in found[0]})
    return rows


def area(values: Sequence[float]) -> float:
    """Return the area under a curve over `RATES` (trapezoidal rule): its mean over 0 to 1."""
    heights = np.asarray(values, np.float64)
    return float(((heights[1:] + heights[:-1]) / 2 * np.diff(RATES)).sum())
