"""Training of the fusion on the user's own clips, from their features."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mera_edge.errors import CheckFailed, InputError
from mera_edge.labels import EMOTIONS
from mera_edge.table import Skipped, is_file
from mera_train import disk
from mera_train.features import ExtractionConfig, FeatureExtraction, clips
from mera_train.features.clips import Clip
from mera_train.fusion import from_features
from mera_train.fusion.config import Config
from mera_train.own import layouts
from mera_train.own.config import OwnConfig, required
from mera_train.own.examples import SAY, TABLE, Example, meanings
from mera_train.own.layouts import ExampleRow
from mera_train.own.splits import divide
from mera_train.own.train import tell


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Split the clips by person, extract features, and fine-tune the initial checkpoint.

    Args:
        config: with ``encoders``: the bundle for feature extraction.
        data: path of the clips, as in `config.own`.
        out: directory for ``examples.csv``, ``features.npz``, the checkpoint and the state of the
            run.
        resume: resume an earlier run.

    Returns:
        The metrics; ``before``: those of the initial fusion on the same clips.

    Raises:
        InputError: the clips are unusable.
    """
    given = required(config.own)
    rows, skipped = _usable(given)
    # The remaining number of rows that may fail; 0.5 guards against rounding.
    share = min(1.0, (given.skip_bad - skipped + 0.5) / len(rows))
    extraction = FeatureExtraction(ExtractionConfig(bundle=config.encoders, max_failed=share))
    try:
        extraction.run_dataset(_divided(given, rows, out), out / "features.npz")
    except CheckFailed as error:
        raise InputError(
            error.what, f"correct them, or skip them with --skip-bad; see {out}/features.json"
        ) from error
    return from_features.train(config, out / "features.npz", out, resume)


def _usable(given: OwnConfig) -> tuple[list[tuple[ExampleRow, Clip]], int]:
    """Return the usable rows and the number of unusable ones, which are reported."""
    skipped, found = Skipped(given.skip_bad), []
    for row in _labelled(given):
        try:
            clip = clips.clip_of(row.folder, row.where, row.columns)
            if not is_file(clip.path):
                raise InputError(
                    f"{row.where}: {clip.path} does not exist",
                    "correct the path, or allow for such rows with --skip-bad N",
                )
            found.append((row, clip))
        except InputError as fault:
            skipped.add(fault)
    for line in skipped.faults:
        tell(f"skipped: {line}")
    if not found:
        raise InputError(f"{given.source}: no clip is usable", "correct the rows")
    if len({(clip.emotion, clip.ratings.get("label")) for _, clip in found}) == 1:
        raise InputError(
            f"{given.source}: every clip has the same label",
            "add clips of other labels: nothing can be learnt from one",
        )
    return found, len(skipped.faults)


def _labelled(given: OwnConfig) -> list[ExampleRow]:
    """Return the rows with labels mapped to emotions, without rows whose label is dropped."""
    rows = layouts.rows(given.source, ("file", "label"), ("video_id", "clip_id", "label"))
    named = [(row, *_emotion(row, given.labels)) for row in rows]
    said = [replace(row, columns={"label": name}) for row, _, name in named if name]
    meaning = meanings(given.source, said, EMOTIONS, given.labels, SAY)
    return [
        replace(row, columns={**row.columns, column: meaning[name]}) if name else row
        for row, column, name in named
        if not name or meaning[name]
    ]


def _emotion(row: ExampleRow, names: Mapping[str, str]) -> tuple[str, str]:
    """Return the column with an emotion and its value; empty for a sentiment."""
    column = "emotion" if row.columns.get("emotion") else "label"
    said = row.columns[column].strip()
    if said.casefold() in (name.casefold() for name in names):
        return column, said
    try:
        float(said)
    except ValueError:
        return column, said
    return column, ""


def _divided(given: OwnConfig, rows: Sequence[tuple[ExampleRow, Clip]], out: Path) -> Path:
    """Write the table of clips with their splits."""
    examples = [
        Example(str(clip.path), "", row.where, Path(), layouts.split(row), person.strip())
        for row, clip in rows
        for person in [row.columns.get("person", "")]
    ]
    text = io.StringIO()
    columns = dict.fromkeys(name for row, _ in rows for name in row.columns)
    writer = csv.DictWriter(text, [*columns | {"file": None, "split": None}], lineterminator="\n")
    writer.writeheader()
    for (row, clip), example in zip(rows, divide(examples, given.held_out, tell), strict=True):
        file = str(clip.path.absolute())
        writer.writerow({**row.columns, "file": file, "split": example.split})
    out.mkdir(parents=True, exist_ok=True)
    disk.write(out / TABLE, text.getvalue())
    return out / TABLE
