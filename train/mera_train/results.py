"""A role's results page: ``python -m mera_train.results CONFIG CHECKPOINT > docs/results/ROLE.md``.

Training has written every figure into the checkpoint; the page measures nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mera_train import checkpoint


def page(config: Path, directory: Path) -> str:
    """Return Markdown: the card, which labels are confused, and the commands.

    Raises:
        InputError: ``directory`` is no checkpoint.
    """
    loaded = checkpoint.load(directory)
    tables = "".join(
        f"### {' · '.join(path)}, {found['n']} examples\n\n{_table(found['confusion'])}\n\n"
        for path, found in _classifications(loaded.metrics)
    )
    confusions = f"## Confusions\n\nRows are the truth.\n\n{tables}" if tables else ""
    role = config.parent.name
    return f"""\
{loaded.card}
{confusions}## Commands

```
mera-edge train {role} --config {config} --data DIR --out runs/{role}
python -m mera_train.results {config} {directory} > docs/results/{role}.md
```
"""


def _classifications(
    metrics: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Find what `mera_edge.evaluation.classification` said, except under disturbance."""
    if "confusion" in metrics:
        yield path, metrics
        return
    for name, value in metrics.items():
        if isinstance(value, dict) and "disturbed" not in name:
            yield from _classifications(value, (*path, name))


def _table(confusion: dict[str, Any]) -> str:
    labels = confusion["labels"]
    lines = [f"| {' | '.join(['', *labels])} |", "| --- " * (len(labels) + 1) + "|"]
    lines += [
        f"| {label} | {' | '.join(map(str, row))} |"
        for label, row in zip(labels, confusion["rows_are_truth"], strict=True)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]), Path(sys.argv[2])))
