"""Tables of all subsets of modalities: fusion, best single modality, mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mera_train.figures import markdown

_HEAD = (
    "modalities",
    "fused macro-F1",
    "95 % interval",
    "best single",
    "mean of probabilities",
    "ECE of fused",
)


def section(metrics: Mapping[str, Any]) -> str:
    """Return the tables for clean and disturbed examples, with a description."""
    sources = metrics["test"].get("sources", {})
    made = ", ".join(f"{count:,} {_ITEMS[name]}" for name, count in sources.items())
    return f"""\
## What each modality adds

{metrics["test"]["n"]:,} examples{f" from {made}" if made else ""}, balanced by emotion.
*Best single*: the best of these modalities alone. *Mean*: of their probabilities, without training.

{_table(metrics["clean"])}
Disturbed examples have noisy, blurred or misheard inputs, modalities that show another emotion, and
old evidence, in the shares given as `composition` in
[config.yaml](../../train/checkpoints/fusion/config.yaml).

{_table(metrics["disturbed"])}
"""


_ITEMS = {"voice": "recordings", "face": "pictures", "text": "sentences"}


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    body = [
        [
            " + ".join(row["modalities"]),
            f"{row['fused']:.3f}",
            " to ".join(f"{bound:.3f}" for bound in row.get("fused_95", ())),
            f"{row['best_single']:.3f}",
            f"{row['mean_of_probabilities']:.3f}",
            f"{row['fused_ece']:.3f}",
        ]
        for row in rows
    ]
    return markdown(_HEAD, body)
