"""A role's results page, and its pictures.

    python -m mera_train.results docs/results/ROLE.md CONFIG CHECKPOINT [METRICS.json...]

Training has written every figure into the checkpoint, and cross-validation into its metrics; the
page measures nothing. The pictures go to ``images`` beside the page's folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mera_train import checkpoint, drawing, tool


def write(page: Path, config: Path, directory: Path, others: Sequence[Path] = ()) -> None:
    """Write the card, all figures, how sure and how right, which labels are confused, the surest
    mistakes, how it learnt, and the commands.

    Args:
        page: Markdown.
        config: that it was trained with.
        directory: the checkpoint.
        others: metrics of cross-validation.

    Raises:
        InputError: ``directory`` is no checkpoint.
    """
    loaded = checkpoint.load(directory)
    found = list(_classifications(loaded.metrics))
    for other in others:
        found += _classifications(json.loads(other.read_text(encoding="utf-8")), other.stem)
    # Of cross-validation only what all folds say together.
    measured = {name: m for name, m in found if " · fold" not in name}
    role, arguments = config.parent.name, " ".join(map(str, [page, config, directory, *others]))
    parts = [loaded.card.rstrip() + "\n\n", _figures(found)]
    # Cross-validation of before this was measured has none.
    sure = {name: m for name, m in measured.items() if "reliability" in m}
    shown = {"reliability": drawing.reliability(sure)} if sure else {}
    if history := loaded.metrics.get("history"):
        shown["learning"] = drawing.curves(history)
    for what, picture in shown.items():
        file = page.parent.parent / "images" / f"{role}_{what}.svg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(picture, encoding="utf-8")
        parts.append(f"{_PICTURES[what]}\n\n![{what}](../images/{file.name})\n\n")
    parts += [_confusions(list(measured.items())), _mistakes(loaded.metrics.get("mistakes", {}))]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        f"""\
{"".join(parts)}## Commands

```
mera-edge train {role} --config {config} --data DIR --out runs/{config.stem}
python -m mera_train.results {arguments}
```
""",
        encoding="utf-8",
    )


_PICTURES = {
    "reliability": """\
## How sure, and how right

Each bar stands for the answers of one bin of confidence: where it ends on the diagonal they are as
often right as they are sure. The paler, the fewer answers.""",
    "learning": """\
## How it learnt

Over the epochs, on the training material (`train_loss`) and on dev (the others).""",
}

Found = Sequence[tuple[str, dict[str, Any]]]
"""Where a classification was found, and what `mera_edge.metrics.classification` said."""


def _figures(found: Found) -> str:
    if not found:
        return ""
    figures = ("accuracy", "uar", "macro_f1", "weighted_f1", "ece")
    rows = "".join(
        f"| {name} | {metrics['n']} | {' | '.join(f'{metrics[f]:.3f}' for f in figures)} "
        f"| {_interval(metrics)} |\n"
        for name, metrics in found
    )
    head = f"| test | n | {' | '.join(figures)} | uar, 95 % |\n{'| --- ' * (len(figures) + 3)}|\n"
    return f"## Figures\n\n{head}{rows}\n"


def _interval(metrics: dict[str, Any]) -> str:
    # Measured before there were intervals, it has none.
    found = metrics.get("interval_95")
    return f"{found['uar'][0]:.3f} to {found['uar'][1]:.3f}" if found else ""


def _confusions(found: Found) -> str:
    if not found:
        return ""
    tables = "".join(f"### {name}\n\n{_table(m)}\n\n" for name, m in found)
    return f"## Confusions\n\nRows are the truth.\n\n{tables}"


def _classifications(metrics: dict[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    if "confusion" in metrics:
        yield name, metrics
        return
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from _classifications(value, f"{name} · {key}".removeprefix(" · "))


def _table(metrics: dict[str, Any]) -> str:
    labels, rows = metrics["confusion"]["labels"], metrics["confusion"]["rows_are_truth"]
    lines = [f"| {' | '.join(['', *labels, 'recall'])} |", "| --- " * (len(labels) + 2) + "|"]
    lines += [
        f"| {label} | {' | '.join(map(str, row))} | {metrics['per_class'][label]['recall']:.1%} |"
        for label, row in zip(labels, rows, strict=True)
    ]
    return "\n".join(lines)


def _mistakes(mistakes: dict[str, list[dict[str, Any]]]) -> str:
    if not mistakes:
        return ""
    head = "| row | truth | answer | confidence |\n| --- | --- | --- | --- |\n"
    tables = "".join(
        f"### {test}\n\n{head}"
        + "".join(
            f"| {one['row']} | {one['truth']} | {one['answer']} | {one['confidence']:.3f} |\n"
            for one in rows
        )
        + "\n"
        for test, rows in mistakes.items()
    )
    return (
        "## The surest mistakes\n\nTen of each test. A row is a file of the corpus, or the number "
        f"of a sentence in its test split; the material itself is not ours to show.\n\n{tables}"
    )


def main(
    page: Path,
    config: Path,
    directory: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    others: Annotated[list[Path] | None, typer.Argument(help="further metrics.json")] = None,
) -> None:
    """Write the results page of a checkpoint."""
    write(page, config, directory, others or ())


if __name__ == "__main__":
    tool.run(main)
