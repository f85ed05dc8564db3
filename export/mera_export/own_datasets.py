"""One's own examples as a dataset for INT8: a table, or what a checkpoint learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, picture_of
from mera_edge.features.text import normalise
from mera_edge.labels import EMOTIONS
from mera_edge.metrics.word_error_rate import normalized
from mera_edge.stages.face import FaceStage
from mera_train import audio, configuration
from mera_train.asr.own import recordings
from mera_train.face.data import LABELS
from mera_train.own import examples as own
from mera_train.own import layouts
from mera_train.own.config import OwnConfig
from mera_train.own.splits import divide
from mera_train.own.train import tell

_RENAME = "rename it in the table (what `train --label` said counts for its checkpoint)"


def are_examples(data: Path) -> bool:
    """Whether a path holds examples for training, and is not a directory of corpora."""
    return not data.is_dir() or layouts.is_of_examples(data)


def table(checkpoint: Path | None) -> Path | None:
    """Return the table of the examples that a checkpoint learnt from, if it has one."""
    path = checkpoint / own.TABLE if checkpoint is not None else None
    return path if path is not None and path.is_file() else None


def read(path: Path, role: RoleName, checkpoint: Path | None) -> list[own.Example]:
    """Return the examples of a table, each with its split.

    Where the checkpoint learnt from some of them, these keep the split that they had there, and the
    others, which it left out, are left out here too. Else they are divided as for training.

    Args:
        path: see `mera_train.own.layouts.rows`.
        role: the role that they are for.
        checkpoint: its directory. What its training was told about labels and about rows that may
            be left out counts here too.

    Raises:
        InputError: the table cannot be read, or files are missing.
    """
    evaluator, told, learnt = ROLE_EVALUATORS[role], _told(checkpoint), _learnt(checkpoint, role)
    faults: list[InputError] = []
    if evaluator.classifies:
        # In what training has written, labels are what they mean.
        names = {} if path.name == own.TABLE else told.labels
        labels = LABELS if role == "face" else EMOTIONS
        found = own.read(path, evaluator.given, labels, names, faults, _RENAME)
    else:
        found = recordings(path, faults)
    if len(faults) > told.skip_bad:
        more = f" (and {len(faults) - 1} more rows)" if len(faults) > 1 else ""
        raise InputError(faults[0].what + more, faults[0].remedy)
    keys = [_key(e, evaluator.given) for e in found]
    if known := [
        replace(e, split=learnt[key]) for e, key in zip(found, keys, strict=True) if key in learnt
    ]:
        return known
    # The words of a recognizer are no classes, which the division would balance.
    bare = found if evaluator.classifies else [replace(e, label="") for e in found]
    divided = divide(bare, told.held_out, tell)
    return [replace(e, split=d.split) for e, d in zip(found, divided, strict=True)]


def dataset(examples: Sequence[own.Example], role: RoleName, bundle: Bundle) -> Dataset:
    """Return examples as a dataset. Only pictures are decoded yet: those in which the bundle finds
    no face are left out, and named; a device would not read them either.

    Args:
        examples: with their splits.
        role: the role that they are for.
        bundle: the bundle whose model they are for.

    Raises:
        InputError: a picture cannot be read.
    """
    evaluator = ROLE_EVALUATORS[role]
    cut_out = _stage(bundle).cut_out if role == "face" else None
    parts: dict[str, list[Example]] = {"train": [], "valid": []}
    faceless: list[Path] = []
    for e in examples:
        if e.split not in parts:
            continue
        if evaluator.given == "text":
            load: Any = partial(normalise, e.given)
        elif cut_out is not None:
            face = cut_out(picture_of(str(e.path)))
            if face is None:
                faceless.append(e.path)
                continue
            load = partial(np.copy, face)
        else:
            load = partial(audio.log_mel_of, e.folder, e.given)
        truth = e.label if evaluator.classifies else normalized(e.label)
        parts[e.split].append(Example(e.given, truth, e.person, load))
    if faceless:
        tell(f"left out: no face was found in {len(faceless)} pictures; the first: {faceless[0]}")
    return Dataset(parts["train"], parts["valid"])


def _stage(bundle: Bundle) -> FaceStage:
    """Return the stage that cuts faces out, with the package's detector if the bundle has none."""
    return FaceStage(bundle, None if bundle.has("face_detector") else Bundle.open())


def _told(checkpoint: Path | None) -> OwnConfig:
    """Return what training on one's own examples was told, if that is what the checkpoint is of."""
    path = checkpoint / "config.yaml" if checkpoint is not None else None
    stated = configuration.load(path).get("own") if path is not None and path.is_file() else None
    return OwnConfig() if stated is None else OwnConfig.model_validate(stated)


def _learnt(checkpoint: Path | None, role: RoleName) -> dict[str, str]:
    """Return the splits that training had, by file or text."""
    path, given = table(checkpoint), ROLE_EVALUATORS[role].given
    rows = [] if path is None else layouts.rows(path, (given,))
    return {
        _key(own.Example(row.columns[given], "", "", row.folder), given): layouts.split(row)
        for row in rows
    }


def _key(e: own.Example, kind: own.Kind) -> str:
    """Return the text of an example, or its file wherever it is named from."""
    return e.given if kind == "text" else str(e.path.resolve())
