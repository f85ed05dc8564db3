"""The results page of the face encoder: ``python -m mera_train.face.report CHECKPOINT``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mera_train import checkpoint


def page(card: str, metrics: dict[str, Any]) -> str:
    """Return Markdown: the card, where the labels are confused, and how to get the figures."""
    confusion = metrics["test"]["majority"]["confusion"]
    labels, rows = confusion["labels"], confusion["rows_are_truth"]
    header = " | ".join(["truth \\ answer", *labels])
    lines = [f"| {header} |", "| --- " * (len(labels) + 1) + "|"]
    lines += [
        f"| {label} | {' | '.join(map(str, row))} |"
        for label, row in zip(labels, rows, strict=True)
    ]
    table = "\n".join(lines)
    return f"""\
{card}
## Confusions

FER+ test, 8 labels, more than half of the votes:

{table}

## Commands

Training writes every figure above into `metrics.json` and the card; this page is made from them:

```
mera-edge train face --config train/configs/face/compact.yaml --data DIR --out runs/face
python -m mera_train.face.report train/checkpoints/face > docs/results/face.md
```
"""


if __name__ == "__main__":
    loaded = checkpoint.load(Path(sys.argv[1]))
    sys.stdout.write(page(loaded.card, loaded.metrics))
