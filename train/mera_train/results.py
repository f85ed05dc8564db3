"""A role's results page.

    python -m mera_train.results CONFIG CHECKPOINT [METRICS.json...] > docs/results/ROLE.md

Training has written every figure into the checkpoint, and cross-validation into its metrics; the
page measures nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mera_train import checkpoint


def page(config: Path, directory: Path, others: Sequence[Path] = ()) -> str:
    """Return Markdown: the card, all figures, which labels are confused, and the commands.

    Raises:
        InputError: ``directory`` is no checkpoint.
    """
    loaded = checkpoint.load(directory)
    measured = list(_classifications(loaded.metrics))
    found = [*measured]
    for other in others:
        found += _classifications(json.loads(other.read_text(encoding="utf-8")), other.stem)
    role, arguments = config.parent.name, " ".join(map(str, [config, directory, *others]))
    return f"""\
{loaded.card}
{_figures(found)}{_confusions(measured)}## Commands

```
mera-edge train {role} --config {config} --data DIR --out runs/{role}
python -m mera_train.results {arguments} > docs/results/{role}.md
```
"""


Found = Sequence[tuple[str, dict[str, Any]]]
"""Where a classification was found, and what `mera_edge.evaluation.classification` said."""


def _figures(found: Found) -> str:
    if not found:
        return ""
    figures = ("accuracy", "uar", "macro_f1", "weighted_f1", "ece")
    rows = "".join(
        f"| {name} | {metrics['n']} | {' | '.join(f'{metrics[f]:.3f}' for f in figures)} |\n"
        for name, metrics in found
    )
    head = f"| test | n | {' | '.join(figures)} |\n{'| --- ' * (len(figures) + 2)}|\n"
    return f"## Figures\n\n{head}{rows}\n"


def _confusions(found: Found) -> str:
    if not found:
        return ""
    tables = "".join(f"### {name}\n\n{_table(m['confusion'])}\n\n" for name, m in found)
    return f"## Confusions\n\nRows are the truth.\n\n{tables}"


def _classifications(metrics: dict[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    if "confusion" in metrics:
        yield name, metrics
        return
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from _classifications(value, f"{name} · {key}".removeprefix(" · "))


def _table(confusion: dict[str, Any]) -> str:
    labels = confusion["labels"]
    lines = [f"| {' | '.join(['', *labels])} |", "| --- " * (len(labels) + 1) + "|"]
    lines += [
        f"| {label} | {' | '.join(map(str, row))} |"
        for label, row in zip(labels, confusion["rows_are_truth"], strict=True)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    config, directory, *others = map(Path, sys.argv[1:])
    sys.stdout.write(page(config, directory, others))
