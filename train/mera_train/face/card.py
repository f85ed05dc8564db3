"""The face encoder's model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mera_train.face.disturbances import DISTURBANCES
from mera_train.provenance import begun, stated


def card(
    metrics: dict[str, Any], initial: Path | None, further: Mapping[str, int], licence: str
) -> str:
    """Return Markdown: what it is, what from, how well it does, what it must not be used for.

    Args:
        metrics: of ``mera_train.face.train``.
        initial: the checkpoint that it began from.
        further: by CSV of further face crops, how many were learnt from.
        licence: of the weights, as its user states it.
    """
    test = metrics["test"]
    majority, plurality, fer2013 = test["majority"], test["plurality"], test["fer2013"]
    recalls = "\n".join(
        f"| {label} | {found['recall']:.1%} | {found['precision']:.1%} | {found['support']} |"
        for label, found in majority["per_class"].items()
    )
    disturbances = "\n".join(
        f"| {name.replace('_', ' ')}: {how} | {metrics['disturbed'][name]:.1%} |"
        for name, (_, how) in DISTURBANCES.items()
    )
    others = "".join(
        f"\n  Also {count:,} pictures of `{name}`, whose licence is not recorded."
        for name, count in further.items()
    )
    return f"""\
# Face encoder

A residual network of plain 3x3 convolutions with {metrics["parameters"] / 1e6:.2f} M parameters,
{begun(initial)}. It reads one grey crop from brow to chin, 48 pixels wide,
and gives probabilities over eight labels (the seven emotions and contempt), a valence and an
embedding. Inside the network every crop is standardised to mean 0 and deviation 1, and looked at a
second time as in a mirror: the mean of both counts.

* **Data.** FER+ ([Barsoum et al., 2016](https://arxiv.org/abs/1608.01041)): the training pictures
  with the votes of ten taggers each, which are the target (as a distribution, single votes left
  out). Training pictures that also occur, pixel for pixel, in valid or test were dropped. FER2013's
  own labels of the same pictures are a second target, of a head that stays in the lab. The pictures
  are FER2013's: collected from the web, for research. FER+'s labels are MIT.{others}
* **Licence** of the weights: {stated(licence)}.
* **Choice.** Weights and temperature ({metrics["temperature"]:.2f}) were chosen on the valid
  split; the test split chose nothing.
* **Valence** is not rated in FER+: it is learnt as the votes' mean position on a coarse table
  (happy 0.8, surprise 0.2, neutral 0, contempt -0.4, the others -0.6).

| test | n | accuracy | UAR | macro-F1 | ECE |
| --- | --- | --- | --- | --- | --- |
| FER+ test, 8 labels, more than half of the votes (the authors' protocol) | {majority["n"]} | {
        majority["accuracy"]:.2%} | {majority["uar"]:.2%} | {majority["macro_f1"]:.3f} | {
        majority["ece"]:.3f} |
| FER+ test, 8 labels, most votes | {plurality["n"]} | {plurality["accuracy"]:.2%} | {
        plurality["uar"]:.2%} | {plurality["macro_f1"]:.3f} | {plurality["ece"]:.3f} |
| FER2013 PrivateTest, 7 labels, second head | {fer2013["n"]} | {fer2013["accuracy"]:.2%} | {
        fer2013["uar"]:.2%} | {fer2013["macro_f1"]:.3f} | {fer2013["ece"]:.3f} |

Per label (the authors' protocol):

| label | recall | precision | n |
| --- | --- | --- | --- |
{recalls}

The same test, disturbed (accuracy; undisturbed {majority["accuracy"]:.1%}):

| disturbance | accuracy |
| --- | --- |
{disturbances}

**Know before use.** Contempt, disgust and fear are rare in the data and poorly known. The
pictures are web photographs, mostly posed, labelled by strangers from a still: the model says
what an expression *looks like* to such taggers, not what a person feels. Balance over age, skin
tone and culture is unknown and not tested. Profile views and covered faces are read badly. Not
for decisions about people.
"""
