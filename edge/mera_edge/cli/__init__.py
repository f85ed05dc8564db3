"""The command line: one file per verb."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from mera_edge import __version__
from mera_edge.cli import (
    bench,
    demo,
    doctor,
    evaluate,
    extras,
    models,
    predict,
    replay,
    run,
    transcribe,
)
from mera_edge.cli.console import reported

app = typer.Typer(
    name="mera-edge",
    help="Emotion recognition from voice, words and face, on this device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("predict")(predict.predict)
app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("transcribe")(transcribe.transcribe)
app.command("bench")(bench.bench)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
for _verb in extras.VERBS:
    app.command(_verb, help=extras.VERBS[_verb].help, context_settings=extras.PASS_ON)(
        extras.delegate(_verb)
    )


@app.callback(invoke_without_command=True)
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True),
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one message with its remedy, never a traceback."""
    with reported():
        app(arguments)
