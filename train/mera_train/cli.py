"""`mera-edge train ROLE`, and the same as ``python -m mera_train ROLE``."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

ROLES = {
    "vad": "the speech detector",
    "asr": "the streaming recognizer",
    "voice": "the voice encoder",
    "face_detector": "the face detector",
    "face": "the face encoder",
    "text": "the text encoder",
    "fusion": "the fusion of the three",
}

FIRST_SEED = 1111
"""The reference counts on from here."""

app = typer.Typer(no_args_is_help=True, help="Train a model in full precision.")


def _verb(role: str) -> Callable[..., None]:
    def train(
        data: Annotated[
            Path, typer.Option(help="your examples (CSV, or a folder by label), or the corpora")
        ],
        out: Annotated[Path, typer.Option(help="directory of the checkpoint and the run's state")],
        config: Annotated[
            Path | None, typer.Option(help="YAML; for your examples ROLE/own")
        ] = None,
        begin: Annotated[
            str | None,
            typer.Option("--from", help="your examples: default (the shipped), nothing, or a path"),
        ] = None,
        label: Annotated[
            list[str] | None, typer.Option(help="your examples: NAME=EMOTION, what a label means")
        ] = None,
        licence: Annotated[str | None, typer.Option(help="of the weights, for their card")] = None,
        skip_bad: Annotated[
            int | None, typer.Option(min=0, help="your examples: rows that may be left out")
        ] = None,
        resume: Annotated[
            Path | None, typer.Option(help="go on from the run in this directory")
        ] = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="begin anew instead of resuming the run in --out")
        ] = False,
    ) -> None:
        from mera_train.disk import room_for
        from mera_train.own.command import settings

        module = importlib.import_module(f"mera_train.{role}.train")
        given = settings(role, module.Config, config, data, begin, label or (), licence, skip_bad)
        with room_for(out, "make room and give the same command: it goes on where it was"):
            if getattr(given, "own", None) is not None:
                module = importlib.import_module(f"mera_train.{role}.own")
            module.train(given, data, out, resume=resume or not fresh)

    train.__doc__ = f"Train {ROLES[role]}."
    return train


for _role in ROLES:
    if _role != "fusion":
        app.command(_role)(_verb(_role))


@app.command()
def fusion(
    config: Annotated[Path | None, typer.Option(help="YAML: the bundle's fusion")] = None,
    data: Annotated[Path | None, typer.Option(help="with --config: the corpora")] = None,
    out: Annotated[Path | None, typer.Option(help="with --config: the checkpoint")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="with --config: go on from the run in this directory")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="begin anew instead of resuming")] = False,
    model: Annotated[str | None, typer.Option(help="mtme, self_mm, lf_dnn, tfn, lmf, mult")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="sims, simsv2, mosi, mosei, mosi_bclstm, own")
    ] = None,
    features: Annotated[Path | None, typer.Option(help="with --model: the feature file")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="with --model: how many trainings")] = 5,
    tune: Annotated[bool, typer.Option("--tune", help="with --model: by Optuna, on dev")] = False,
) -> None:
    """Train the fusion of the three, or with --model a network on a feature file."""
    if model and dataset and features and not config:
        from mera_train.msa import MSA_run, get_config

        settings = {**get_config(model, dataset), "featurePath": features}
        chosen = range(FIRST_SEED, FIRST_SEED + seeds)
        found = MSA_run(model, dataset, settings, chosen, is_tune=tune, resume=not fresh)
        typer.echo(json.dumps(found, indent=2))
    elif config and data and out and not model:
        _verb("fusion")(data, out, config, resume=resume, fresh=fresh)
    else:
        raise typer.BadParameter("give --config, --data, --out, or --model, --dataset, --features")
