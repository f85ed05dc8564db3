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
from mera_edge.features.face import crop, decode
from mera_edge.features.fbank import log_mel
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
    kind = "text" if role == "text" else "file"
    label = "text" if role == "asr" else "label"
    stage = FaceStage(bundle) if role == "face" else None
    size = bundle.role("face").engine().inputs["face"].shape[-1] if stage else 0
    parts: dict[str, list[Example]] = {"": [], "train": [], "valid": [], "test": []}
    for row in layouts.rows(path, (kind, label)):
        given, said = row.columns[kind], row.columns[label]
        if role == "text":
            load: Any = partial(normalise, given)
        elif stage is not None:
            load = partial(_face, row.folder / given, stage, size)
        else:
            load = partial(_frames, row.folder, given)
        truth = normalized(said) if role == "asr" else said
        example = Example(given, truth, row.columns.get("person", ""), load)
        parts[layouts.split(row)].append(example)
    return Dataset(parts["train"], parts["valid"])


def _face(path: Path, stage: FaceStage, size: int) -> NDArray[np.float32]:
    image = decode(path.read_bytes(), str(path))
    found = stage.cut_out(image)
    # All of them had a face in training; another detector may miss one.
    return crop(image, size) if found is None else found


def _frames(folder: Path, file: str) -> NDArray[np.float32]:
    frames: Any = log_mel(audio.read(folder, file))
    return np.asarray(frames, np.float32)
