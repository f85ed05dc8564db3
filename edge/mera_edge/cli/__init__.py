"""The command line: one module per verb."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from mera_edge import __version__
from mera_edge.cli import (
    bench,
    compare,
    demo,
    doctor,
    evaluate,
    events,
    extras,
    models,
    notice,
    predict,
    replay,
    run,
    service,
    transcribe,
    wyoming,
)
from mera_edge.cli.console import reported, say
from mera_edge.errors import InputError

app = typer.Typer(
    name="mera-edge",
    help="Recognize emotions from voice, words and face on this device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("predict")(predict.predict)
app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("transcribe")(transcribe.transcribe)
app.add_typer(bench.app, name="bench")
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.add_typer(models.app, name="models")
app.add_typer(events.app, name="events")
app.command("wyoming")(wyoming.wyoming)
app.add_typer(service.app, name="service")
app.command("notice")(notice.notice)
app.command("doctor")(doctor.doctor)
for _verb in extras.VERBS:
    app.command(
        _verb,
        cls=extras.Delegated,
        help=extras.VERBS[_verb].help,
        context_settings=extras.PASS_ON,
    )(extras.delegate(_verb))


@app.callback(invoke_without_command=True)
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True),
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one message with its remedy, never a traceback."""
    # Skips the garbage collection at exit, which takes up to a second on a busy machine.
    atexit.register(gc.freeze)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with reported(" ".join(["mera-edge", *given[:1]])):
            app(arguments)
    except SystemExit as ended:
        if ended.code == InputError.exit_code:
            _hint(given)
        raise


def _hint(given: Sequence[str]) -> None:
    """Explain how to pass a file whose name looks like an option."""
    for name in given:
        if name == "--":
            return
        if name.startswith("-") and len(name) > 1 and Path(name).is_file():
            say(f"{name} was read as an option; for the file, write ./{name}")
