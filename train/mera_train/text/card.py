"""The model card of the text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mera_train.figures import table
from mera_train.provenance import licence_text
from mera_train.text.dialogue import DialogueName

_SMALL = """\
# Text encoder for English and Chinese

A convolutional network over subwords (English) and characters (Chinese), mixed with a logistic \
regression on TF-IDF of their n-grams, in one graph; {parameters:.1f} M parameters, trained from \
scratch. Input: one sentence. Output: probabilities of seven emotions, valence, an embedding."""

_LARGE = """\
# Text: {encoder} with heads for emotion and valence

The small encoder's teacher, or a comparison; no bundle contains it. {parameters:.1f} M \
parameters."""

_CARD = """\


## Test

Official test splits; sentences with exactly one label.

{tests}
{spoken}The weights, the mixture and the temperature were chosen on dev splits.
Command: `mera-edge results pages text --data DIR`.

## Training data

| corpus | content | licence |
| --- | --- | --- |
| GoEmotions (Ekman grouping) | English forum comments | Apache-2.0 |
| MELD | English television dialogue | GPL-3.0 |
| CARER | English tweets; its *love* is mapped to happy, as in GoEmotions' grouping | research |
| SMP2020-EWECT, usual (virus: test only) | Chinese microblogs; no *disgust* | research |
| CH-SIMS, CH-SIMS v2 | transcripts with multimodal valence, for valence only | research |
{dialogue}
Long training sentences that occur in a dev or test split of any corpus were removed. Licence of \
the weights: {licence}.

## Limits

It reads single sentences, so it knows neither the dialogue nor the speaker, and misses irony that \
needs context. Most of the training data is written language from forums and microblogs. Valence \
is \
coarse, because most corpora only label emotions. Disgust in Chinese is learnt from {disgust}. \
Other \
languages are not supported.
"""

_SPOKEN = """\
Dialogue of a held-out show and season, which helped to choose the weights:

{}
"""

_DIALOGUE = {
    "cped": "| CPED, its *valid* part | Chinese television dialogue | research |\n",
    "emorynlp": "| EmoryNLP, its *train* part | English television dialogue | GPL-3.0 |\n",
}


def card(
    metrics: dict[str, Any],
    licence: str,
    encoder: Path | None = None,
    spoken: Sequence[DialogueName] = (),
) -> str:
    """Return the model card for the metrics of ``mera_train.text.train``.

    Args:
        metrics: test metrics and ``parameters``.
        licence: licence of the weights, as stated by the user.
        spoken: additional dialogue in the training data.
        encoder: Hugging Face encoder that was trained instead of the small one.
    """
    head = _SMALL if encoder is None else _LARGE
    tests = dict(metrics["test"])
    tests |= {f"{name}, with word errors": m for name, m in metrics["test_disturbed"].items()}
    return head.format(
        parameters=metrics["parameters"] / 1e6, encoder=encoder and encoder.name
    ) + _CARD.format(
        tests=table(tests, ("macro_f1", "weighted_f1", "ece")),
        spoken=_SPOKEN.format(table(metrics["dialogue"], ("macro_f1", "ece"), "dev"))
        if spoken
        else "",
        dialogue="".join(_DIALOGUE[corpus] for corpus in spoken),
        disgust="English and little dialogue" if "cped" in spoken else "English alone",
        licence=licence_text(licence),
    )
