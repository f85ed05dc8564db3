"""Results pages, model cards and tables, from what is committed: ``make results``.

python -m mera_train.results                  # write all that follows from checkpoints
python -m mera_train.results ROLE --data DIR  # measure a role's checkpoint again before
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mera_edge.errors import InputError
from mera_train import checkpoint, disk, tool
from mera_train.results import generated
from mera_train.results.measure import MEASURES


def main(
    role: Annotated[
        str | None, typer.Argument(help=f"Role to measure again: {', '.join(MEASURES)}.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="With ROLE: the directory of the corpora.")
    ] = None,
) -> None:
    """Write results pages, model cards and tables from the committed checkpoints."""
    if role is not None:
        if role not in MEASURES or data is None:
            raise InputError(
                "a role is measured on corpora",
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


if __name__ == "__main__":
    tool.run(main)
