"""The model card of the fusion."""

from __future__ import annotations

from typing import Any

from mera_train.provenance import stated

_CARD = """\
# Fusion: trained on *composed* examples, not on recordings of people

Each training example is put together from three strangers: a voice from RAVDESS, a face from FER+ \
and a sentence from a text corpus that were labelled with the same emotion. No public corpus with \
sound, picture and words could be used. So this network has learnt how far each encoder is to be \
trusted, not how voice, face and words really go together; whoever has clips of their own should \
train on those.

`mtme`: Self-MM's network and label generation (Yu et al., AAAI 2021) over the encoders' \
embeddings and probabilities, any of which may be missing; the answer is a product of the \
encoders' probabilities, each raised to a learnt power, times a correction. One modality alone \
keeps its own answer, unchanged.

## How well it does on composed test examples

Made of test splits only, equally many of each emotion; macro-F1 over seven emotions. *Disturbed*: \
{composition}.

| modalities | fused | best single | mean of probabilities | disturbed: fused | best single | mean |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

Expected calibration error of all three together: {ece:.3f} (disturbed {ece_disturbed:.3f}).

These figures say how the encoders combine when their errors are independent, as they are between \
strangers. In one person they are not, so expect less.

## Trained on

The encoders' answers on their *dev* splits, which they were not fitted to, though their best \
weights and temperatures were chosen there: FER+ validation (labels MIT, pictures FER2013: \
research), the RAVDESS actors kept from training (CC BY-NC-SA 4.0), dev sentences of GoEmotions \
(Apache-2.0), MELD (GPL-3.0), CARER and SMP2020 (research).

Licence of the weights: {licence}.

Labels for single modalities are generated while training; they correlate with what each \
modality really shows by {agreement}.
"""


def card(metrics: dict[str, Any], composition: str, licence: str) -> str:
    """Return the card for what ``mera_train.fusion.train`` measured."""
    rows = "\n".join(
        f"| {' + '.join(clean['modalities'])} | {clean['fused']:.3f} | {clean['best_single']:.3f} "
        f"| {clean['mean_of_probabilities']:.3f} | {other['fused']:.3f} "
        f"| {other['best_single']:.3f} | {other['mean_of_probabilities']:.3f} |"
        for clean, other in zip(metrics["clean"], metrics["disturbed"], strict=True)
    )
    agreement = ", ".join(f"{v:.2f} ({name})" for name, v in metrics["generated_labels"].items())
    return _CARD.format(
        composition=composition,
        rows=rows,
        ece=metrics["clean"][0]["fused_ece"],
        ece_disturbed=metrics["disturbed"][0]["fused_ece"],
        agreement=agreement,
        licence=stated(licence),
    )
