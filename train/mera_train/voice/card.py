"""The voice encoder's model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mera_train.voice.data import DEV_SPEAKERS, LABELS, RAVDESS, TEST_SPEAKERS


def card(metrics: dict[str, Any], unseen: Sequence[str], chunk: int) -> str:
    """The model card: what it learnt from, how well, under which licence."""
    ravdess = metrics[RAVDESS]
    across = "".join(
        f"* {corpus}, never trained or tuned on, {len(metrics[corpus]['per_class'])} classes: "
        f"UAR {metrics[corpus]['uar']:.1%}, expected calibration error "
        f"{metrics[corpus]['ece']:.3f}.\n"
        for corpus in unseen
    )
    return f"""\
# Voice: how something is said

A causal convolutional encoder over log-mel frames with carried attentive pooling. It answers every
{chunk * 10} ms with probabilities of {", ".join(LABELS)},
valence and an embedding.
**Non-commercial use only**: the data's licences say so.

* Data: RAVDESS speech (CC BY-NC-SA 4.0; acted English, two sentences), CREMA-D (Open Database
  License; acted English, twelve sentences, 91 actors; its sound **rebuilt from pictures of its
  spectrograms**, up to 3 s), nEMO (CC BY-NC-SA 4.0; acted Polish), noise from UrbanSound8K folds 1
  and 2 (CC BY-NC 3.0); rooms are simulated.
* Speakers: RAVDESS actors {", ".join(DEV_SPEAKERS[RAVDESS])}, nEMO speaker
  {", ".join(DEV_SPEAKERS["nemo"])} and CREMA-D actors {", ".join(DEV_SPEAKERS["crema_d"])} chose \
the weights and the temperature
  ({metrics["temperature"]:.2f}, inside the graph);
  RAVDESS actors {", ".join(TEST_SPEAKERS[RAVDESS])} were never used.
* RAVDESS actors {", ".join(TEST_SPEAKERS[RAVDESS])}, eight classes, {ravdess["n"]} recordings: \
UAR {ravdess["uar"]:.1%},
  expected calibration error {ravdess["ece"]:.3f}. Two voices are a small sample: six folds by \
actor
  (train/configs/voice/folds.yaml, docs/results/voice.md) measure the method.
{across}* Acted emotions of adults. Spontaneous speech, children, other languages, far microphones:
  less sure. Happy, angry and surprised voices are taken for each other. Valence is learnt from
  the acted label, not from ratings. No statement about how a person really feels.
"""
