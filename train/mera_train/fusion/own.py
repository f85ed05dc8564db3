"""The fusion learns from one's own clips: by way of their features."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from mera_train import disk
from mera_train.features import ExtractionConfig, FeatureExtraction, clips
from mera_train.fusion import from_features
from mera_train.fusion.config import Config
from mera_train.own import layouts
from mera_train.own.config import required
from mera_train.own.examples import TABLE, Example
from mera_train.own.splits import divide
from mera_train.own.train import tell


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Divide the clips by person, extract their features, and go on from the initial checkpoint.

    Args:
        config: with ``encoders``: the bundle whose encoders they are.
        data: a CSV or a folder, see `mera_train.features.clips.read`.
        out: receives ``examples.csv``, ``features.npz``, the checkpoint and the state of the run.
        resume: go on from the state of an earlier run.

    Returns:
        The metrics; ``before`` is the fusion that training began from, on the same clips.

    Raises:
        InputError: the clips cannot be used.
    """
    extraction = FeatureExtraction(ExtractionConfig(bundle=config.encoders))
    extraction.run_dataset(_divided(config, data, out), out / "features.npz")
    return from_features.train(config, out / "features.npz", out, resume)


def _divided(config: Config, data: Path, out: Path) -> Path:
    """Return the clips' table: a CSV with splits, made if it is anything else."""
    table = data.suffix == ".csv" or (data / "label.csv").is_file()
    if table:
        clips.read(data)
    rows = layouts.rows(data, ("file", "label"), ("video_id", "clip_id", "label"))
    if table and (any(map(layouts.split, rows)) or "file" not in rows[0].columns):
        return data
    found = [
        Example(c["file"], "", row.where, row.folder, layouts.split(row), c.get("person", ""))
        for row in rows
        for c in [row.columns]
    ]
    text = io.StringIO()
    columns = [*dict.fromkeys(name for row in rows for name in (*row.columns, "split"))]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row, example in zip(rows, divide(found, required(config.own).held_out, tell), strict=True):
        file = str(example.path.absolute())
        writer.writerow({**row.columns, "file": file, "split": example.split})
    out.mkdir(parents=True, exist_ok=True)
    disk.write(out / TABLE, text.getvalue())
    return out / TABLE
