"""Compatibility with MMSA: its arguments, its flat settings, its results table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mera_edge.errors import ConfigError
from mera_train import configuration, disk, parallel

FLAT = {
    "dropout": ("network", "dropout"),
    "early_stop": ("loop", "patience"),
    "learning_rate": ("loop", "learning_rate"),
    "learning_rate_other": ("loop", "learning_rate"),
    "learning_rate_bert": ("loop", "learning_rates", "network.inputs.bert"),
    "learning_rate_audio": ("loop", "learning_rates", "network.encoders.encoders.audio"),
    "learning_rate_video": ("loop", "learning_rates", "network.encoders.encoders.vision"),
    "post_fusion_dim": ("network", "fusion_dim"),
    "pretrained": ("network", "text_encoder"),
    "weight_decay": ("loop", "weight_decay"),
}
"""MMSA's flat settings -> path of our setting."""

FIGURES = {
    "accuracy_2": "Mult_acc_2",
    "weighted_f1": "F1_score",
    "accuracy_2_has0": "Has0_acc_2",
    "weighted_f1_has0": "Has0_F1_score",
    "accuracy_2_non0": "Non0_acc_2",
    "weighted_f1_non0": "Non0_F1_score",
    "accuracy_3": "Mult_acc_3",
    "accuracy_5": "Mult_acc_5",
    "accuracy_7": "Mult_acc_7",
    "mae": "MAE",
    "correlation": "Corr",
}
"""Our metrics -> column names in MMSA's tables."""


def settings(
    config: Mapping[str, Any] | Path | str | None,
    config_file: Path | str | None,
    features: Path | str | None,
) -> dict[str, Any]:
    """Return the settings of a run, given in any form that MMSA accepts.

    Args:
        config: settings, or the path of a settings file.
        config_file: path of a settings file (JSON or YAML).
        features: overrides ``featurePath``.

    Raises:
        ConfigError: a learning rate is of a BERT, but none is named.
    """
    if isinstance(config, str | Path):
        config, config_file = None, config
    given = dict(config or {})
    if config_file:
        given = {**configuration.load(Path(config_file).expanduser()), **given}
    named = given.get("pretrained") or (given.get("network") or {}).get("text_encoder")
    if "learning_rate_bert" in given and not named:
        raise ConfigError(
            "learning_rate_bert: no BERT is trained",
            "name its directory: config['network']['text_encoder'], or MMSA's pretrained",
        )
    for name, (*inside, last) in FLAT.items():
        if name in given:
            value, place = given.pop(name), given
            for key in inside:
                place[key] = dict(place.get(key) or {})
                place = place[key]
            place[last] = value
    if features:
        given["featurePath"] = features
    if path := given.get("featurePath"):
        given["featurePath"] = Path(path).expanduser()
    return given


def refuse_single(**files: Path | str | None) -> None:
    """Refuse a separate feature file for a single modality.

    Raises:
        ConfigError: there is one; the message names the first.
    """
    for name, file in files.items():
        if file:
            raise ConfigError(
                f"{name}: separate feature files per modality are not supported",
                "put all three into one file and name it with featurePath",
            )


def choose_gpu(gpu_ids: Sequence[int] | None) -> None:
    """Select the given GPU; if there is none, report that training runs on the CPU.

    Raises:
        ConfigError: several GPUs are given.
    """
    if not gpu_ids:
        return
    if len(gpu_ids) > 1:
        raise ConfigError(
            f"gpu_ids names {len(gpu_ids)} GPUs",
            f"torchrun --nproc_per_node={len(gpu_ids)} splits the work",
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(gpu_ids[0])
    elif parallel.state().is_main_process:
        print(f"gpu_ids {list(gpu_ids)}: no GPU found, training on the CPU", file=sys.stderr)


def add_row(path: Path, model: str, rows: Sequence[Mapping[str, float]]) -> None:
    """Add a model to a results table of MMSA: percentages, ``(mean, deviation)`` over seeds.

    The standard deviation is that of the population, as in MMSA.
    """
    if not parallel.state().is_main_process:
        return
    names = [name for name in FIGURES if name in rows[0]]
    header, kept = ["Model", *(FIGURES[name] for name in names)], []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            kept = [line for line in csv.reader(file) if line and line[0] != "Model"]
    cells = []
    for name in names:
        values = 100 * np.array([row[name] for row in rows])
        cells.append(str((round(float(values.mean()), 2), round(float(values.std()), 2))))
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk.whole(path) as file:
        lines = [header, *kept, [model, *cells]]
        quoted = (",".join(f'"{c}"' if "," in c else c for c in line) for line in lines)
        file.write(("\n".join(quoted) + "\n").encode())
