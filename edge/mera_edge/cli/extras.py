"""Verbs of the other packages, imported only when called, so that the device does not need them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand

from mera_edge.errors import MissingExtra

PASS_ON: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


@dataclass(frozen=True)
class Extra:
    """A verb of another package."""

    module: str
    extra: str
    help: str


VERBS = {
    "train": Extra("mera_train.cli", "train", "Train a model in full precision."),
    "features": Extra(
        "mera_train.features.cli",
        "train",
        "Extract encoder features from clips, for training the fusion.",
    ),
    "corpus": Extra("mera_train.corpus", "train", "Make, label and pack training data."),
    "results": Extra(
        "mera_train.results.cli", "train", "Write the results pages of the repository."
    ),
    "calibrate": Extra(
        "mera_export.calibrate", "export", "Measure the activation ranges that INT8 needs."
    ),
    "export": Extra(
        "mera_export.cli", "export", "Export checkpoints to a bundle, optionally in INT8."
    ),
}


class Delegated(TyperCommand):
    """A verb of another package, with shell completion if the package is installed."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the completions of the package's own command."""
        from typer._completion_classes import BashComplete

        try:
            app = importlib.import_module(VERBS[str(ctx.info_name)].module).app
        except ModuleNotFoundError:
            return []
        command = typer.main.get_command(app)
        return BashComplete(command, {}, "", "").get_completions(ctx.args, incomplete)


def delegate(verb: str) -> Callable[[typer.Context], None]:
    """Return a command that passes its arguments on to the verb's package."""

    def command(context: typer.Context) -> None:
        extra = VERBS[verb]
        try:
            app = importlib.import_module(extra.module).app
            typer.main.get_command(app)(args=context.args, prog_name=f"mera-edge {verb}")
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.split(".")[0].startswith("mera_"):
                raise
            raise MissingExtra(str(error.name), extra.extra) from error

    return command
