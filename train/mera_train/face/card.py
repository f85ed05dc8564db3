"""The face encoder's model card."""

from __future__ import annotations

from typing import Any

from mera_train.figures import table
from mera_train.provenance import licence_text


def card(metrics: dict[str, Any], licence: str) -> str:
    """Return Markdown: description, training data, metrics, prohibited uses.

    Args:
        metrics: as returned by ``mera_train.face.train``.
        licence: licence of the weights, as stated by the user.
    """
    test = metrics["test"]
    tests = {
        "FER+ test, the authors' protocol (more than half of the votes)": test["majority"],
        "FER+ test, the label with the most votes": test["plurality"],
        "FER2013 PrivateTest, second output": test["fer2013"],
    }
    others = "".join(
        f"\n* {count:,} pictures of `{name}`, a CSV of further faces (its licence is not recorded)."
        for name, count in metrics.get("further", {}).items()
    )
    return f"""\
# Face encoder

A residual network of 3x3 convolutions, {metrics["parameters"] / 1e6:.2f} M parameters,
{metrics["begun"]}. Input: one grey crop of 48 pixels, from brow to chin. The network standardises
it and averages over its mirror image. Output: probabilities of the seven emotions and contempt,
valence, an embedding.

## Test

{table(tests, ("accuracy", "uar", "ece"))}
The weights and the temperature ({metrics["temperature"]:.2f}) were chosen on the valid split.
Command: `mera-edge results pages face --data DIR`.

## Training data

* FER+ ([Barsoum et al., 2016](https://arxiv.org/abs/1608.01041)): the training pictures. The
  target is the distribution of ten annotators' votes, without labels that got a single vote.
  Pictures that occur pixel for pixel in valid or test were removed. The labels are MIT; the
  pictures are those of FER2013, collected from the web, for research.
* FER2013's labels of the same pictures, for a second output that is not exported.{others}
* Valence is not labelled. It is derived from the votes with a coarse table (happy 0.8, surprise
  0.2, neutral 0, contempt -0.4, others -0.6).

Licence of the weights: {licence_text(licence)}.

## Limits

Contempt, disgust and fear are rare in the data and recognized poorly, as are profiles and covered
faces. The pictures are web photographs, mostly posed, and labelled by strangers from a still image:
the model predicts what an expression *looks like* to them, not what a person feels. Balance over
age, skin tone and culture is unknown and untested. Not for decisions about people.
"""
