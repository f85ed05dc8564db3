"""Fused predictions of whole bundles on the same composed examples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mera_edge.bundle import Bundle
from mera_edge.evidence import Evidence
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.metrics.classification import classification
from mera_edge.stages.fusion import FusionStage
from mera_export.datasets import absent
from mera_train.fusion.compose import CLEAN, Composed, Composition, compose
from mera_train.fusion.evidence import CORPORA, Pool, collect

EXAMPLES = 4200
"""Composed examples per condition; a multiple of seven, for equal class frequencies."""

CONDITIONS = {
    "clean": CLEAN.model_copy(update={"examples": EXAMPLES}),
    "disturbed": Composition(examples=EXAMPLES),
}


class Fused:
    """Macro-F1 of the fused prediction in two conditions.

    Args:
        data: directory of the corpora.
        progress: receives progress messages.
        split: ``dev``, which is also training data of the fusion, or ``test``.
    """

    def __init__(
        self,
        data: Path,
        progress: Callable[[str], None] = lambda message: None,
        split: str = "dev",
    ) -> None:
        self.data, self.progress, self.split = data, progress, split

    def missing(self) -> list[str]:
        """Return the missing corpora."""
        return absent(self.data, CORPORA)

    def __call__(self, bundle: Bundle) -> dict[str, float]:
        """Run all encoders and the fusion of ``bundle``; return macro-F1 by condition."""
        self.progress("fused prediction")
        with tempfile.TemporaryDirectory() as scratch:
            pools = collect(bundle, self.data, self.split, Path(scratch) / "evidence")
        stage = FusionStage(bundle)
        return {name: fuse(stage, pools, how) for name, how in CONDITIONS.items()}


def fuse(stage: FusionStage, pools: dict[str, Pool], how: Composition) -> float:
    """Return the macro-F1 of the fused predictions on composed examples."""
    examples = compose(pools, how, 7)
    now_s = 1000.0
    answers = [
        stage.fuse(_evidence(examples, row, now_s), now_s).probabilities
        for row in range(len(examples))
    ]
    truth = [EMOTIONS[emotion] for emotion in examples.emotions]
    return float(classification(truth, np.stack(answers), EMOTIONS)["macro_f1"])


def _evidence(examples: Composed, row: int, now_s: float) -> list[Evidence]:
    return [
        Evidence(
            modality=name,
            captured_s=now_s - float(examples.age_s[row, column]),
            probabilities=examples.probabilities[row, column],
            valence=0.0,
            embedding=examples.embeddings[name][row],
        )
        for column, name in enumerate(MODALITIES)
    ]
