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
"""The roles that are trained: ``mera_train.ROLE.train`` has ``Config`` and ``train``, and where
``Config`` takes your own examples, ``mera_train.ROLE.own`` has a ``train`` for them."""

FIRST_SEED = 1111
"""First of the consecutive seeds, as in the reference (MMSA)."""

KeepLearnt = Annotated[
    bool,
    typer.Option(
        "--keep-learnt",
        help="Own examples: keep the new weights even if they do worse on new people.",
    ),
]

Label = Annotated[
    list[str] | None,
    typer.Option(help="Own examples: what a label means, as NAME=EMOTION; repeatable."),
]
Licence = Annotated[str | None, typer.Option(help="Licence of the weights, for the model card.")]
Resume = Annotated[Path | None, typer.Option(help="Continue from the run in this directory.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start over instead of resuming the run in --out.")
]

app = typer.Typer(no_args_is_help=True, help="Train a model in full precision.")


def _verb(role: str) -> Callable[..., None]:
    def train(
        data: Annotated[
            Path,
            typer.Option(
                help="Your examples (a CSV file, or a directory per label), or the directory of "
                "the corpora."
            ),
        ],
        out: Annotated[
            Path, typer.Option(help="Output directory for the checkpoint and the state of the run.")
        ],
        config: Annotated[
            Path | None,
            typer.Option(help="YAML configuration. Default for your own examples: ROLE/own."),
        ] = None,
        begin: Annotated[
            str | None,
            typer.Option(
                "--from",
                help="Own examples: start from `default` (the shipped checkpoint), "
                "`nothing`, or a path.",
            ),
        ] = None,
        label: Label = None,
        licence: Licence = None,
        skip_bad: Annotated[
            int | None,
            typer.Option(min=0, help="Own examples: number of unusable rows that may be skipped."),
        ] = None,
        keep_learnt: KeepLearnt = False,
        resume: Resume = None,
        fresh: Fresh = False,
    ) -> None:
        from mera_train.disk import room_for
        from mera_train.own.archives import unpacked
        from mera_train.own.command import settings

        module = importlib.import_module(f"mera_train.{role}.train")
        given = settings(
            *(role, module.Config, config, data, begin, label or (), licence, skip_bad),
            keep_learnt=keep_learnt,
        )
        with room_for(out, "free some space and run the same command again: it resumes"):
            if getattr(given, "own", None) is not None and data.suffix != ".npz":
                given.own.data = data = unpacked(data, out)
                module = importlib.import_module(f"mera_train.{role}.own")
            module.train(given, data, out, resume=resume or not fresh)

    train.__doc__ = f"Train {ROLES[role]}."
    return train


for _role in ROLES:
    if _role != "fusion":
        app.command(_role)(_verb(_role))


Checkpoint = Annotated[
    Path, typer.Argument(help="Checkpoint of the recognizer.", metavar="CHECKPOINT")
]
Corpora = Annotated[Path, typer.Argument(help="Directory of the corpora.")]
Texts = Annotated[list[Path] | None, typer.Argument(help="Plain-text files.", metavar="TEXT")]
CountsOf = Annotated[
    Path | None,
    typer.Option(
        "--counts-of",
        help="Take the n-gram counts from this checkpoint, which must have the same units.",
    ),
]


@app.command()
def language_model(
    checkpoint: Checkpoint, data: Corpora, texts: Texts = None, counts_of: CountsOf = None
) -> None:
    """Estimate the n-gram language model of a recognizer and tune its weight on dev."""
    from mera_train.asr.language_model import tune

    tune(checkpoint, data, texts or (), counts_of)


@app.command()
def lexicon(
    checkpoint: Checkpoint, data: Corpora, texts: Texts = None, counts_of: CountsOf = None
) -> None:
    """Build the lexicon of a recognizer that has a language model, and tune it on dev."""
    from mera_train.asr.lexicon import make

    make(checkpoint, data, texts or (), counts_of)


@app.command()
def fusion(
    config: Annotated[
        Path | None, typer.Option(help="YAML configuration of the bundle's fusion.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Your clips (CSV or folder), their features, or the corpora."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --data: output directory.")] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="With your clips: default (the shipped weights) or a path."),
    ] = None,
    label: Label = None,
    licence: Licence = None,
    skip_bad: Annotated[
        int | None,
        typer.Option(min=0, help="With your clips: number of unusable clips that may be skipped."),
    ] = None,
    keep_learnt: KeepLearnt = False,
    resume: Resume = None,
    fresh: Fresh = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model: mtme, mtme_human, self_mm, lf_dnn, tfn, lmf, mtfn, mlmf, mult, "
            "misa, mag_bert, tfr_net or almt.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset: sims, simsv2, mosi, mosei, mosi_bclstm or own.")
    ] = None,
    features: Annotated[Path | None, typer.Option(help="With --model: the feature file.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="With --model: number of runs with different seeds.")
    ] = 5,
    tune: Annotated[
        bool, typer.Option("--tune", help="With --model: tune hyperparameters with Optuna on dev.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="With --tune: Dask scheduler whose workers run the trials, e.g. tcp://host:8786."
        ),
    ] = None,
) -> None:
    """Train the fusion of voice, face and words or, with --model, a network on a feature file."""
    if scheduler and not tune:
        raise typer.BadParameter("--scheduler is for --tune")
    if model and dataset and features and not config:
        from mera_train.msa import MSA_run, get_config

        settings = {**get_config(model, dataset), "featurePath": features}
        chosen = range(FIRST_SEED, FIRST_SEED + seeds)
        found = MSA_run(
            *(model, dataset, settings, chosen, tune), resume=not fresh, scheduler=scheduler
        )
        typer.echo(json.dumps(found, indent=2))
    elif data and out and not model:
        if data.suffix == ".npz" and (label or skip_bad is not None):
            raise typer.BadParameter("--label and --skip-bad are for clips, not for their features")
        _verb("fusion")(
            *(data, out, config, begin, label, licence, skip_bad, keep_learnt, resume, fresh)
        )
    else:
        raise typer.BadParameter("give --data and --out, or --model, --dataset, --features")
