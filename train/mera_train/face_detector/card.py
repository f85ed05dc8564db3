"""The card of a face detector."""

from __future__ import annotations

from typing import Any

from mera_train.provenance import stated


def card(metrics: dict[str, Any], licence: str) -> str:
    """Return it as Markdown; ``licence`` is that of the weights, as its user states it."""
    valid, pictures = metrics["valid"], metrics["pictures"]
    return f"""# Face detector

A network of plain 3x3 convolutions with {metrics["parameters"]:,} parameters. It reads a grey
picture and gives, for every cell of three grids, a confidence, a box and five landmarks.

* **Data.** {pictures["train"]:,} pictures with the boxes and landmarks of a teacher (YuNet,
  Apache-2.0), as they are and pasted onto scenes, turned, darkened, blurred. Nobody labelled them:
  what the teacher misses, this network does not know either.
* **Licence** of the weights: {stated(licence)}.
* **Validation** on {pictures["valid"]:,} pictures not learnt from, against the teacher's
  {valid["faces"]:.0f} sure faces: recall {valid["recall"]:.1%} at 0.02 false faces a picture;
  at confidence 0.5 recall {valid["recall_at_half"]:.1%} with {valid["false_at_half"]:.3f} false
  ones.
  Landmarks are {valid["landmarks"]:.1%} of the face's height away from the teacher's.

**Know before use.** It agrees with its teacher, which is not the truth. True profiles are rare in
the pictures. It says where a face is, not whose.
"""
