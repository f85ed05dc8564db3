"""The results page of MOSI: every training it is made of, its tables and its picture.

    python -m mera_train.msa.results FEATURES.npz RUNS > docs/results/mosi.md

Trains what the folder ``RUNS`` does not have yet and goes on from what it has. The picture goes to
docs/images/mosi_grid.png. Nothing is decided here: every row is one configuration, trained on
fixed seeds, its weights chosen on the validation videos.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mera_train import checkpoint
from mera_train.fusion.train import SUBSETS
from mera_train.msa.config import Config
from mera_train.msa.data import MODALITIES
from mera_train.msa.grid import RATES, area, curve, subset_name, subsets
from mera_train.msa.picture import draw
from mera_train.msa.run import MSA_run, get_config, load, over_seeds, read

DATASET = "mosi_bclstm"
FIGURES = {
    "accuracy_2_has0": ("accuracy, %", 100, 1),
    "weighted_f1_has0": ("weighted F1, %", 100, 1),
    "mae": ("MAE", 1, 3),
    "correlation": ("correlation", 1, 3),
}
PICTURE = Path("docs/images/mosi_grid.png")
RIVALS = ("self_mm", "lf_dnn", "tfn", "lmf", "mult")

ABLATIONS: dict[str, dict[str, Any]] = {
    "no transcripts: published features only": {"transcripts": False},
    "no doubt: fitted features believed": {"doubt": {}},
    "neither": {"transcripts": False, "doubt": {}},
    "no dialogue context": {"network": {"context": 0}},
    "no labels for single modalities": {"unimodal_weight": 0},
    "no modality dropout": {"complete": 1.0},
}

Table = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By row, by figure, ``mean`` and ``std``."""


def page(features: Path, runs: Path) -> str:
    """Train, measure, draw, and return the page as Markdown."""
    whole = _study(features, runs / "mtme", "mtme")
    single = {
        subset_name(kept): _study(
            features,
            runs / subset_name(kept).replace(" + ", "_"),
            "mtme",
            modalities=subset_name(kept).split(" + "),
        )
        for kept in SUBSETS[1:]
    }
    rivals = {f"`{name}`": _study(features, runs / name, name) for name in RIVALS}
    ablations = {
        name: _study(features, runs / f"ablation_{number}", "mtme", **changes)
        for number, (name, changes) in enumerate(ABLATIONS.items())
    }
    grid, curves = _missing(runs / "mtme" / f"mtme-{DATASET}")
    bars = {name: row["accuracy_2_has0"]["mean"] for name, row in grid.items()}
    draw(PICTURE, bars, curves, "MOSI, mtme: what is left when something is missing")
    return _PAGE.format(
        trained=_table("trained and tested on", {subset_name(SUBSETS[0]): whole} | single),
        models=_table("network", {"`mtme`": whole} | rivals),
        ablations=_table("`mtme`", {"as it is": whole} | ablations),
        grid=_table("kept", grid),
        rates=" | ".join(f"{rate:.0%}" for rate in RATES),
        rules="| --- " * (len(RATES) + 2) + "|",
        curves="\n".join(
            f"| {name} | {' | '.join(f'{100 * v:.1f}' for v in values)} "
            f"| {100 * area(values):.1f} |"
            for name, values in curves.items()
        ),
    )


def _study(features: Path, out: Path, model: str, **changes: Any) -> dict[str, dict[str, float]]:
    """Train a configuration on all seeds, unless it was before; figures of the test split."""
    config = get_config(model, DATASET) | {"featurePath": str(features)}
    for key, value in changes.items():
        config[key] = {**config[key], **value} if key == "network" else value
    summary = out / "summary.json"
    if not summary.exists():
        found = MSA_run(model, DATASET, config, model_save_dir=out, log_dir=out)
        summary.write_text(json.dumps(found))
    test: dict[str, dict[str, float]] = json.loads(summary.read_text())["test"]
    return test


def _missing(saved: Path) -> tuple[Table, dict[str, list[float]]]:
    """The grid and the curves of trained networks, means over their seeds."""
    grids: dict[str, list[dict[str, float]]] = {}
    curves: dict[str, list[list[float]]] = {}
    for directory in sorted(path for path in saved.iterdir() if path.is_dir()):
        network = load(directory)
        corpus = read(checkpoint.load(directory).settings(Config))
        for name, row in subsets(network, corpus.test, corpus).items():
            grids.setdefault(name, []).append(row)
        for name in (subset_name(SUBSETS[0]), *MODALITIES):
            kept = corpus.only(name.split(" + "))
            rows = curve(network, kept.test, kept)
            curves.setdefault(name, []).append([row["accuracy_2_has0"] for row in rows])
    means = {name: np.mean(values, axis=0).tolist() for name, values in curves.items()}
    return {name: over_seeds(rows) for name, rows in grids.items()}, means


def _table(head: str, rows: Table) -> str:
    lines = [
        f"| {head} | {' | '.join(name for name, _, _ in FIGURES.values())} |",
        "| --- " * (len(FIGURES) + 1) + "|",
    ]
    for row, figures in rows.items():
        cells = [
            f"{scale * figures[key]['mean']:.{places}f} ± {scale * figures[key]['std']:.{places}f}"
            for key, (_, scale, places) in FIGURES.items()
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


_PAGE = """@@PAGE@@"""


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]), Path(sys.argv[2])))
