"""The feature file: a NumPy archive without pickles.

Arrays with a row per clip: ``id``, ``split``, ``text`` (gold words), ``heard`` (recognized words),
``person`` and ``emotion`` (empty if unknown), ``label`` and ``label_T``, ``label_A``, ``label_V``
(NaN if not annotated); and for every modality NAME the newest evidence at the end of the clip:
``NAME_embedding [n, D]``, ``NAME_probabilities [n, 7]``, ``NAME_age_s [n]``, ``NAME_present [n]``.
NAME is ``voice``, ``face``, ``text`` (of the requested words) and, if both were requested,
``heard`` (of the recognized words). ``specification`` is JSON with the models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle, RoleName
from mera_edge.bundle.load import SPOILED
from mera_edge.errors import InputError
from mera_edge.labels import MODALITIES, VALENCE
from mera_train import disk

SCHEMA = "mera-edge/features/1"
_ENCODERS: tuple[RoleName, ...] = ("asr", *MODALITIES)


@dataclass(frozen=True)
class Features:
    """The contents of a feature file."""

    arrays: dict[str, NDArray[Any]]
    specification: dict[str, Any]

    def __len__(self) -> int:
        return len(self.arrays["id"])

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split."""
        return np.flatnonzero(self.arrays["split"] == split)

    def people(self) -> list[str]:
        """Return the person of each clip; empty if unknown, as in files of earlier versions."""
        found: list[str] = self.arrays.get("person", np.full(len(self), "")).tolist()
        return found

    def sentiments(self) -> NDArray[np.float32]:
        """Return annotated sentiments ``[n]`` in [-1, 1], or else the valence of the emotion."""
        usual = [VALENCE.get(name, 0.0) for name in self.arrays["emotion"].tolist()]
        rated = self.arrays["label"]
        return np.where(np.isnan(rated), usual, rated).astype(np.float32)

    def require(self, bundle: Bundle) -> None:
        """Refuse features from other encoders than the bundle's.

        Raises:
            InputError: names the fields that differ.
        """
        wanted = specification(bundle, self.specification.get("words", ""))
        differ = [
            f"{name} is {self.specification.get(name)!r} there, {wanted[name]!r} here"
            for name in wanted
            if self.specification.get(name) != wanted[name]
        ]
        if differ:
            raise InputError(
                f"the features come from different models: {'; '.join(differ)}",
                "extract them again with this bundle: mera-edge features --bundle",
            )


def specification(bundle: Bundle, words: str) -> dict[str, Any]:
    """Return what a bundle's features depend on; ``words``: source of the words."""
    models = {
        f"{name} model": bundle.role(name).entry.files["model"].sha256[:16] for name in _ENCODERS
    }
    return {"schema": SCHEMA, "words": words, **models}


def save(path: Path, features: Features) -> None:
    """Write a feature file, atomically."""
    told = np.array(json.dumps(features.specification))
    arrays: dict[str, Any] = {"specification": told, **features.arrays}
    with disk.whole(path) as file:
        np.savez_compressed(file, **arrays)


def load(path: Path) -> Features:
    """Read a feature file.

    Raises:
        InputError: it is not a feature file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        told = json.loads(str(arrays.pop("specification")))
    except SPOILED as error:
        raise InputError(
            f"{path} is not a feature file ({error})", "make one with `mera-edge features`"
        ) from error
    schema = told.get("schema") if isinstance(told, dict) else told
    if schema != SCHEMA:
        raise InputError(
            f"{path} has schema {schema!r}, {SCHEMA!r} is supported", "extract it again"
        )
    return Features(arrays, told)
