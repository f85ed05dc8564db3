"""`mera-edge results`: write the results pages of this repository, or measure on its corpora."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Write the results pages of the repository, or measure what they show.",
)

Data = Annotated[Path, typer.Argument(help="Directory of the corpora.")]
BundleOption = Annotated[Path | None, typer.Option(help="Bundle. Default: the one in the package.")]


@app.command()
def pages(
    role: Annotated[
        str | None,
        typer.Argument(help="Role to measure again first: asr, face, fusion, text, vad or voice."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="With ROLE: the directory of the corpora.")
    ] = None,
) -> None:
    """Write results pages, model cards and tables from the committed checkpoints."""
    from mera_edge.errors import InputError
    from mera_train import checkpoint, disk
    from mera_train.results import generated
    from mera_train.results.measure import MEASURES

    if role is not None:
        if role not in MEASURES or data is None:
            raise InputError(
                "a role needs corpora to be measured on",
                f"give one of {', '.join(MEASURES)}, and --data DIR",
            )
        directory = generated.CHECKPOINTS / role
        loaded = checkpoint.load(directory)
        metrics = {**loaded.metrics, **MEASURES[role](loaded, data)}
        disk.write(
            directory / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        )
    for path, text in generated.files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path}")
    print("\nNot made by this command, because it needs corpora, clips or a quiet machine:")
    for page, why in generated.BY_HAND.items():
        print(f"  docs/results/{page}.md: {why}")


@app.command()
def mosi(
    features: Annotated[Path, typer.Argument(help="The published features of CMU-MOSI.")],
    treebank: Annotated[Path, typer.Argument(help="`trees/train.txt` of the treebank.")],
    runs: Annotated[Path, typer.Argument(help="Directory for the training runs.")],
) -> None:
    """Train and measure on the published CMU-MOSI features; print the page."""
    from mera_train.msa.results import page

    typer.echo(page(features, treebank, runs), nl=False)


@app.command()
def strangers(
    data: Data,
    bundle: BundleOption = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Corpus; repeatable. Default: RAVDESS, EmoDB and Urdu."),
    ] = None,
    share: Annotated[
        float,
        typer.Option(help="Share of the recordings that are also tested at other sound levels."),
    ] = 0.25,
) -> None:
    """Evaluate a bundle's voice encoder on people it has never heard."""
    from mera_edge.bundle import Bundle
    from mera_train.voice.data import RAVDESS
    from mera_train.voice.strangers import VoicePredictor, measure

    predictor = VoicePredictor(Bundle.open(bundle))
    names = corpus or [RAVDESS, "emodb_4class", "urdu"]
    typer.echo(
        json.dumps({name: measure(data, predictor, name, share) for name in names}, indent=1)
    )


@app.command()
def vad(
    data: Data,
    bundle: BundleOption = None,
    silero: Annotated[
        Path | None, typer.Option(help="Model file of Silero VAD. Default: the one in its package.")
    ] = None,
    most: Annotated[int, typer.Option(help="Maximum number of recordings per corpus.")] = 200,
) -> None:
    """Compare a bundle's speech detector with Silero VAD."""
    from mera_edge.bundle import Bundle
    from mera_train.vad import teacher
    from mera_train.vad.measure import measure

    found = measure(data, Bundle.open(bundle), silero or teacher.silero(), most)
    typer.echo(json.dumps(found, indent=1))
