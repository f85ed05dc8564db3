"""Dialogue from television series: the parts that may be used for training.

These are *valid* of CPED (Chinese; Chen et al., 2022) and *train* of EmoryNLP (English; Zahiri and
Choi, 2018). Their test parts are never read. One show and one season are held out for dev.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from mera_edge.errors import InputError

DialogueName = Literal["cped", "emorynlp"]

Row = tuple[str, str, tuple[str, ...], float | None]
"""Split, sentence, emotions, and a valence where the label gives nothing else."""

PATHS: dict[DialogueName, str] = {
    "cped": "CPED/data/CPED/valid_split.csv",
    "emorynlp": "MELD/data/emorynlp/emorynlp_train_final.csv",
}
"""Paths in ``--data``, in clones of github.com/scutcyr/CPED and github.com/declare-lab/MELD."""

CPED_DEV, EMORY_DEV = "40", "4"
"""The show and the season that are held out for dev."""

_CPED = {
    "happy": "happy",
    "grateful": "happy",
    "relaxed": "happy",
    "sadness": "sad",
    "depress": "sad",
    "worried": "fear",
    "astonished": "surprise",
}
_EMORY = {"joyful": "happy", "mad": "angry", "scared": "fear"}

_PLEASURE = {"positive-other": 0.5, "negative-other": -0.5, "peaceful": 0.4, "powerful": 0.3}
"""Labels outside the seven emotions only give a valence."""


def dialogue(data: Path, corpus: DialogueName) -> Iterator[Row]:
    """Read a corpus.

    Raises:
        InputError: its file is not in ``data``.
    """
    path = data / PATHS[corpus]
    if not path.is_file():
        clone = "scutcyr/CPED" if corpus == "cped" else "declare-lab/MELD"
        raise InputError(f"{path} does not exist", f"clone https://github.com/{clone} to {data}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _READERS[corpus](csv.DictReader(file))


def _cped(rows: Iterable[dict[str, str]]) -> Iterator[Row]:
    for row in rows:
        split = "dev" if row["TV_ID"] == CPED_DEV else "train"
        yield (split, row["Utterance"], *_meaning(row["Emotion"], _CPED))


def _emorynlp(rows: Iterable[dict[str, str]]) -> Iterator[Row]:
    for row in rows:
        split = "dev" if row["Season"] == EMORY_DEV else "train"
        yield (split, row["Utterance"], *_meaning(row["Emotion"].lower(), _EMORY))


def _meaning(label: str, names: dict[str, str]) -> tuple[tuple[str, ...], float | None]:
    if label in _PLEASURE:
        return (), _PLEASURE[label]
    return (names.get(label, label),), None


_READERS: dict[DialogueName, Callable[[Iterable[dict[str, str]]], Iterator[Row]]] = {
    "cped": _cped,
    "emorynlp": _emorynlp,
}
