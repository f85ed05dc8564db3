"""The face detector's model card."""

from __future__ import annotations

from typing import Any

from mera_edge.metrics.confusion import wilson
from mera_train.provenance import licence_text


def card(metrics: dict[str, Any], licence: str) -> str:
    """Return Markdown; ``licence`` is that of the weights, as stated by the user."""
    valid, pictures = metrics["valid"], metrics["pictures"]
    faces, apart = round(valid["faces"]), 100 * valid["landmarks"]
    found = [
        f"{100 * share:.1f} | {100 * low:.1f} to {100 * high:.1f}"
        for share in (valid["recall"], valid["recall_at_half"])
        for low, high in [wilson(share * faces, faces)]
    ]
    return f"""\
# Face detector

A network of 3x3 convolutions, {metrics["parameters"]:,} parameters. In: a grey picture. Out: for
every cell of three grids a confidence, a box and five landmarks.

## Valid

{pictures["valid"]:,} pictures that were not learnt from; they chose the weights. The truth is the
teacher's {valid["faces"]:.0f} confident faces. The intervals take faces as independent. Two figures
have none: training keeps their mean only, not the figure of each picture or face.

| figure | n | value | 95 % interval |
| --- | --- | --- | --- |
| recall at 0.02 false faces a picture, % | {faces:,} | {found[0]} |
| recall at confidence 0.5, % | {faces:,} | {found[1]} |
| false faces a picture at confidence 0.5 | {pictures["valid"]:,} | {valid["false_at_half"]:.3f} | |
| distance of landmarks, % of the face's height | at most {faces:,} | {apart:.1f} | |

Command: `mera-edge train face_detector`, which measures at its end.

## Training data

{pictures["train"]:,} pictures with the boxes and landmarks of a teacher (YuNet, Apache-2.0), as
they are, and pasted onto scenes, turned, darkened and blurred. Nobody labelled them: what the
teacher misses, this network does not know either.

Licence of the weights: {licence_text(licence)}.

## Limits

It agrees with its teacher, which is not the truth. Profiles are rare in the pictures. It says where
a face is, not whose. By mask and turn: docs/results/strangers.md.
"""
