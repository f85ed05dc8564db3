"""The user's own clips: the output of `mera-edge features` as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mera_train.features import store
from mera_train.msa.data import Corpus, Examples, clean

_NAMES = {"text": "text", "audio": "voice", "vision": "face"}
"""Names of the modalities on the device."""


def read(path: Path) -> Corpus:
    """Read a feature file.

    A modality is a vector of the embedding, log-probabilities and age in seconds of the newest
    evidence. A clip with only an emotion gets the valence of that emotion; ``label_T``, ``label_A``
    and ``label_V`` are unimodal labels.

    Raises:
        InputError: the file is not a feature file.
    """
    features = store.load(path)
    arrays, labels = features.arrays, features.sentiments()
    vectors = {
        name: np.column_stack(
            [
                arrays[f"{device}_embedding"],
                np.log(arrays[f"{device}_probabilities"].astype(np.float32) + 1e-4),
                arrays[f"{device}_age_s"],
            ]
        )
        for name, device in _NAMES.items()
    }
    present = {name: arrays[f"{device}_present"] for name, device in _NAMES.items()}
    found, lengths = clean(vectors, present, str(path))
    unimodal = {n: arrays[f"label_{n[0].upper()}"].astype(np.float32) for n in _NAMES}
    whole = Examples(found, lengths, labels, arrays["id"].tolist(), unimodal)
    train, valid, test = (whole.at(features.rows(name)) for name in ("train", "valid", "test"))
    return Corpus(train, valid, test, "sims", 1.0)
