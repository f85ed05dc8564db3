"""The model card of the fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mera_train.figures import table
from mera_train.provenance import licence_text

_CARD = """\
# Fusion, trained on *composed* examples, not on recordings of people

`mtme`: Self-MM's network and label generation (Yu et al., AAAI 2021) over the embeddings and \
probabilities of the three encoders, any of which may be missing. The answer is a product of the \
encoders' probabilities, each raised to a learnt power, times a correction. With a single \
modality its probabilities are unchanged.

## Test

Every example is composed of a voice (RAVDESS), a face (FER+) and a sentence with the same label: \
no public corpus with audio, video and words could be used. Only test splits are used, balanced by \
emotion. Figures in brackets are 95 % intervals.

{test}
The best single modality has a macro-F1 of {single}. *Disturbed* examples \
({composition}; n as above, its effective n was not kept): {disturbed}, best single modality \
{disturbed_single}. Intervals are bootstrapped over recordings, pictures and sentences. \
Command: `mera-edge results pages fusion --data DIR`.

## Training data

The outputs of the encoders on their *dev* splits, on which their weights and temperatures were \
chosen: FER+ validation (labels MIT, pictures FER2013: research), held-out RAVDESS actors \
(CC BY-NC-SA 4.0), dev sentences of GoEmotions (Apache-2.0), MELD (GPL-3.0), CARER and SMP2020 \
(research).

Licence of the weights: {licence}.

## Limits

It has learnt how reliable each encoder is, not how voice, face and words of one person relate. \
The \
modalities of an example come from different people, so their errors are independent; those of one \
person are not. Expect lower figures on real recordings, and train on your own clips if you have \
them. Correlation of the generated unimodal labels with what each modality shows, over the \
composed training examples: {agreement}; intervals were not kept.
"""


def card(metrics: dict[str, Any], composition: str, licence: str) -> str:
    """Return the model card for the metrics of ``mera_train.fusion.train``."""
    agreement = ", ".join(f"{v:.2f} ({name})" for name, v in metrics["generated_labels"].items())
    return _CARD.format(
        test=table({"voice + face + text": metrics["test"]}, ("macro_f1", "ece"), "modalities"),
        single=_best_single(metrics["clean"]),
        composition=composition,
        disturbed=_shown(metrics["disturbed"][0]),
        disturbed_single=_best_single(metrics["disturbed"]),
        agreement=agreement,
        licence=licence_text(licence),
    )


def _best_single(rows: Sequence[Mapping[str, Any]]) -> str:
    alone = [row for row in rows if len(row["modalities"]) == 1]
    return _shown(max(alone, key=lambda row: float(row["fused"])))


def _shown(row: Mapping[str, Any]) -> str:
    low, high = row["fused_95"]
    return f"{row['fused']:.3f} ({low:.3f} to {high:.3f})"
