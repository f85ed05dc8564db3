"""Compatibility with MMSA-FET: its configuration and feature file formats."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import ConfigError
from mera_edge.labels import VALENCE
from mera_train import disk

TOOLS = {"audio": "our voice encoder", "video": "our face encoder", "text": "our text encoder"}
"""Replacement for each section of an MMSA-FET configuration."""

NAMES = {"text": "text", "audio": "voice", "vision": "face"}
"""Names of modalities: in a feature file -> on the device."""


def translated(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings of a configuration; for one of MMSA-FET, report the replacements.

    Args:
        values: settings of ours, or sections ``audio``, ``video``, ``text``, ``align``.
        where: name of the configuration, for messages.

    Raises:
        ConfigError: a section is not a mapping.
    """
    ours = {key: value for key, value in values.items() if key not in (*TOOLS, "align")}
    for name in (name for name in (*TOOLS, "align") if name in values):
        section = values[name]
        if not isinstance(section, Mapping):
            raise ConfigError(f"{where}: {name} is {section!r}", "give a section, or leave it out")
        tool = section.get("tool", "its tool")
        instead = f"using {TOOLS[name]}" if name in TOOLS else "sequences are not aligned"
        print(f"{where}: {name}: {tool} is not supported; {instead}", file=sys.stderr)
    return ours


def save(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a feature file for MMSA: a pickle of ``train``, ``valid`` and ``test``.

    Each has ``id``, ``raw_text``, ``text``, ``audio`` and ``vision`` ``[n, T, D]`` with their
    lengths, ``annotations``, ``regression_labels`` and, if annotated, ``_T``, ``_A``, ``_V``.
    Emotions are mapped to their valence. Sequences are truncated at the mean length plus three
    standard deviations.

    Args:
        rows: output of `mera_train.features.extract`, with sequences.
    """
    wanted = {name: _longest([len(row[f"{ours}_sequence"]) for row in rows])
              for name, ours in NAMES.items()}  # fmt: skip
    parts: dict[str, Any] = {}
    for split in ("train", "valid", "test"):
        of = [row for row in rows if str(row["split"]) == split]
        part: dict[str, Any] = {
            "id": [str(row["id"]) for row in of],
            "raw_text": [str(row["text"]) or str(row["heard"]) for row in of],
            "annotations": [str(row["emotion"]) for row in of],
            "regression_labels": np.array([_sentiment(row) for row in of], np.float32),
        }
        for name, ours in NAMES.items():
            found = [np.asarray(row[f"{ours}_sequence"], np.float32) for row in of]
            part[name] = _padded(found, wanted[name], rows[0][f"{ours}_sequence"].shape[1])
            part[f"{name}_lengths"] = [min(len(f), wanted[name]) for f in found]
            rated = np.array([row[f"label_{name[0].upper()}"] for row in of], np.float32)
            if np.isfinite(rated).any():
                part[f"regression_labels_{name[0].upper()}"] = rated
        parts[split] = part
    with disk.whole(path) as file:
        pickle.dump(parts, file, protocol=4)


def _longest(lengths: Sequence[int]) -> int:
    usual = int(np.mean(lengths) + 3 * np.std(lengths))
    return max(1, min(max(lengths), usual))


def _padded(sequences: Sequence[NDArray[np.float32]], frames: int, width: int) -> NDArray[Any]:
    whole = np.zeros((len(sequences), frames, width), np.float32)
    for row, sequence in zip(whole, sequences, strict=True):
        row[: len(sequence)] = sequence[:frames]
    return whole


def _sentiment(row: Mapping[str, Any]) -> float:
    rated = float(row["label"])
    return VALENCE.get(str(row["emotion"]), rated) if np.isnan(rated) else rated
