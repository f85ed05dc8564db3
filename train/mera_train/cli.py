"""`mera-edge train ROLE`, and the same as ``python -m mera_train ROLE``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

ROLES = {
    "asr": "the streaming recognizer",
    "voice": "the voice encoder",
    "face": "the face encoder",
    "text": "the text encoder",
    "fusion": "the fusion of the three",
}

app = typer.Typer(no_args_is_help=True, help="Train a model in full precision.")


def _verb(role: str) -> Callable[..., None]:
    def train(
        config: Annotated[Path, typer.Option(help="YAML, for example train/configs/ROLE/….yaml")],
        data: Annotated[Path, typer.Option(help="directory with the corpora")],
        out: Annotated[Path, typer.Option(help="directory of the checkpoint and the run's state")],
        fresh: Annotated[
            bool, typer.Option("--fresh", help="begin anew instead of resuming the run in --out")
        ] = False,
    ) -> None:
        from mera_train.configuration import read

        module = importlib.import_module(f"mera_train.{role}.train")
        module.train(read(config, module.Config), data, out, resume=not fresh)

    train.__doc__ = f"Train {ROLES[role]}."
    return train


for _role in ROLES:
    app.command(_role)(_verb(_role))
