"""`mera-edge features`: extract features from clips for training the fusion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

app = typer.Typer()


@app.command()
def features(
    dataset: Annotated[Path, typer.Argument(help="Directory with label.csv, or a CSV file.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
    num_workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 1,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle with the encoders. Default: the one in the package.")
    ] = None,
    words: Annotated[
        str, typer.Option(help="Transcripts to use: gold, heard (recognized) or both.")
    ] = "both",
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of clips that may fail.")
    ] = 0.05,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Dask scheduler whose workers extract the features, e.g. tcp://host:8786."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON file with bundle, words and max_failed.")
    ] = (None),
) -> None:
    """Extract encoder features from every clip of DATASET. An interrupted run resumes."""
    from mera_edge.errors import InputError
    from mera_train.features import ExtractionConfig, FeatureExtraction

    if words not in ("gold", "heard", "both"):
        raise InputError(f"--words {words!r} is unknown", "give gold, heard or both")
    chosen = ExtractionConfig(bundle=bundle, words=words, max_failed=max_failed)
    extraction = FeatureExtraction(config if config is not None else chosen)
    columns = (TextColumn("clips"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("clips")

        def told(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        statuses = extraction.run_dataset(dataset, out, num_workers, told, scheduler)
    lacking = [status for status in statuses if status.notes]
    Console().print(f"{len(statuses)} clips, {len(lacking)} with notes: {out}")
