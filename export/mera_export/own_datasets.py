"""The examples that a checkpoint learnt from (`examples.csv`), as a dataset for INT8."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleName
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_edge.features.face import decode
from mera_edge.features.text import normalise
from mera_edge.metrics.word_error_rate import normalized
from mera_edge.stages.face import FaceStage
from mera_train import audio
from mera_train.own import layouts
from mera_train.own.examples import TABLE


def table(checkpoints: Path | None, role: str) -> Path | None:
    """Return the table of the examples that a role's checkpoint learnt from, if it has one."""
    path = checkpoints / role / TABLE if checkpoints is not None else None
    return path if path is not None and path.is_file() else None


def missing(path: Path) -> list[str]:
    """Return the first missing files that the examples of a table name."""
    rows = layouts.rows(path, ("file",), ("text",))
    named = [row.columns["file"] for row in rows if "file" in row.columns]
    gone = [name for name in named if not (path.parent / name).is_file()]
    more = [f"and {len(gone) - 3} more"] if len(gone) > 3 else []
    return [*gone[:3], *more]


def dataset(path: Path, role: RoleName, bundle: Bundle) -> Dataset:
    """List the examples of a table; nothing is decoded yet.

    Args:
        path: the table.
        role: the role that learnt from them.
        bundle: the bundle whose model they are for.

    Raises:
        InputError: the table cannot be read.
    """
    evaluator = ROLE_EVALUATORS[role]
    kind, label = evaluator.given, evaluator.truth
    stage = FaceStage(bundle) if role == "face" else None
    parts: dict[str, list[Example]] = {"": [], "train": [], "valid": [], "test": []}
    for row in layouts.rows(path, (kind, label)):
        given, said = row.columns[kind], row.columns[label]
        if kind == "text":
            load: Any = partial(normalise, given)
        elif stage is not None:
            load = partial(_face, row.folder / given, stage)
        else:
            load = partial(audio.log_mel_of, row.folder, given)
        truth = said if evaluator.classifies else normalized(said)
        example = Example(given, truth, row.columns.get("person", ""), load)
        parts[layouts.split(row)].append(example)
    return Dataset(parts["train"], parts["valid"])


def _face(path: Path, stage: FaceStage) -> NDArray[np.float32]:
    # All of them had a face in training; where another detector misses one, it crops the middle.
    return stage.crop(decode(path.read_bytes(), str(path)))
