"""Feature files of MMSA: ``unaligned_39.pkl``, ``aligned_50.pkl`` and the like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mera_edge.errors import InputError
from mera_train.msa import unpickle
from mera_train.msa.data import MODALITIES, Corpus, Examples, Floats, clean
from mera_train.msa.metrics import Scale

LARGEST: dict[str, tuple[Scale, float]] = {
    "sims": ("sims", 1),
    "simsv2": ("sims", 1),
    "mosi": ("mosi", 3),
    "mosei": ("mosi", 3),
}
"""Definition of the metrics and largest label, by data set."""


def read(path: Path, dataset: str, tokens: bool = False) -> Corpus:
    """Read a feature file with ``train``, ``valid`` and ``test``.

    With ``tokens``, the text is the tokens of ``text_bert``, ``[n, T, 3]``, not its vectors.

    Each split has ``text [n, T, 768]``, ``audio``, ``vision``, ``regression_labels [n]``, and
    optionally ``audio_lengths``, ``vision_lengths``, ``text_lengths`` (ours) or ``text_bert [n, 3,
    T]`` (its second row is the word mask), ``regression_labels_T``, ``_A``, ``_V`` and
    ``id``. Utterances without a finite label are dropped.

    Raises:
        InputError: the file is missing, has another layout, or is a pickle that would execute code.
    """
    parts = unpickle.load(path)
    scale, largest = LARGEST[dataset]
    found = {}
    for split in ("train", "valid", "test"):
        if not isinstance(parts, dict) or not isinstance(parts.get(split), dict):
            raise InputError(f"{path} has no part {split!r}", "give a feature file of MMSA")
        found[split] = _part(parts[split], f"{path}: {split}", largest, tokens)
    return Corpus(found["train"], found["valid"], found["test"], scale, largest)


def _part(part: dict[str, Any], where: str, largest: float, tokens: bool) -> Examples:
    if tokens and "text_bert" not in part:
        raise InputError(
            f"{where} has no 'text_bert', the tokens that a BERT reads",
            "give a feature file with it, or leave network.text_encoder out",
        )
    if "regression_labels" not in part:
        raise InputError(f"{where} has no 'regression_labels'", "give a file for regression")
    lengths = {n: part[f"{n}_lengths"] for n in MODALITIES if f"{n}_lengths" in part}
    if tokens:
        told = np.asarray(part["text_bert"])
        part = {**part, "text": told.transpose(0, 2, 1)}
        lengths["text"] = told[:, 1].sum(axis=1)
    if "text_bert" in part and "text" not in lengths:
        lengths["text"] = np.asarray(part["text_bert"])[:, 1].sum(axis=1)
    features, counted = clean({n: part[n] for n in MODALITIES if n in part}, lengths, where)
    labels = _labels(part["regression_labels"], len(features["text"]), largest, where)
    unimodal = {
        name: _labels(part[key], len(labels), largest, where)
        for name in MODALITIES
        if (key := f"regression_labels_{name[0].upper()}") in part
    }
    ids = [str(i) for i in part.get("id", range(len(labels)))]
    examples = Examples(features, counted, labels, ids, unimodal)
    return examples.at(np.flatnonzero(np.isfinite(labels)))


def _labels(values: Any, n: int, largest: float, where: str) -> Floats:
    labels = np.asarray(values, np.float32).reshape(-1) / largest
    if len(labels) != n:
        raise InputError(f"{where}: {len(labels)} labels for {n} utterances", "give one for each")
    return labels
