"""The model card of the text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mera_train.provenance import stated

_SMALL = """\
# Text: a small encoder for English and Chinese

What a sentence says about its speaker's emotion: seven emotions, valence, and an embedding for \
the fusion. A convolutional network over subwords (English) and characters (Chinese) beside a \
logistic regression on TF-IDF of their n-grams, in one graph. {parameters:.1f} M numbers.
"""

_LARGE = """\
# Text: {encoder} with heads for emotion and valence

To be the small encoder's teacher, or to compare with; no bundle takes it. {parameters:.1f} M \
numbers.
"""

_CARD = """\

## How well it does

Official test splits, never used to choose anything; sentences with exactly one label (GoEmotions: \
{single} of its 5,427), the label with the highest probability counts.

| corpus | accuracy | macro-F1 | weighted F1 | ECE |
| --- | --- | --- | --- | --- |
{rows}

The same English tests without punctuation and with word errors as a recognizer makes them \
(macro-F1): {disturbed}.

Published for comparison: GoEmotions-Ekman BERT 0.62 to 0.64 (multi-label protocol), SMP2020 usual \
BERT 0.739, MELD words alone bc-LSTM 0.564 weighted F1 *with* dialogue context.

## Trained on

| corpus | what | licence |
| --- | --- | --- |
| GoEmotions (Ekman grouping) | English forum comments | Apache-2.0 |
| MELD | English television dialogue | GPL-3.0 |
| CARER | English tweets; its *love* counts as happy, as in GoEmotions' grouping | research |
| SMP2020-EWECT, usual (virus: tested only) | Chinese microblogs; no *disgust* | research |
| CH-SIMS, CH-SIMS v2 | words and the multimodal valence, for the valence only | research |

Licence of the weights: {licence}. Dev splits chose weights, mixture and temperature. Long \
training sentences that occur in a dev or test split of any corpus were left out.

## What it cannot do

It sees one sentence at a time: no dialogue, no irony that needs a context, no speaker. Written \
forum and microblog language is most of what it knows; valence is coarse where a corpus names \
emotions only. Disgust in Chinese is learnt from English alone. Other languages: do not ask it.
"""


def card(
    metrics: dict[str, Any], parameters: int, licence: str, encoder: Path | None = None
) -> str:
    """Return the card for what ``mera_train.text.train`` measured.

    Args:
        metrics: of the tests.
        parameters: how many numbers it has.
        licence: of the weights, as its user states it.
        encoder: that was trained in place of the small one.
    """
    head = _SMALL if encoder is None else _LARGE
    tests = metrics["test"]
    rows = "\n".join(
        f"| {corpus} | {m['accuracy']:.3f} | {m['macro_f1']:.3f} | {m['weighted_f1']:.3f} "
        f"| {m['ece']:.3f} |"
        for corpus, m in tests.items()
    )
    disturbed = ", ".join(
        f"{corpus} {m['macro_f1']:.3f}" for corpus, m in metrics["test_disturbed"].items()
    )
    return head.format(
        parameters=parameters / 1e6, encoder=encoder and encoder.name
    ) + _CARD.format(
        single=tests["goemotions"]["n"],
        rows=rows,
        disturbed=disturbed,
        licence=stated(licence),
    )
