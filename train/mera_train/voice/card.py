"""The voice encoder's model card."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mera_train.figures import table
from mera_train.provenance import licence_text
from mera_train.voice.data import DEV_SPEAKERS, LABELS, TEST_SPEAKERS

_CORPORA = {
    "ravdess_speech": "RAVDESS speech (CC BY-NC-SA 4.0: non-commercial; acted English, two "
    "sentences)",
    "crema_d": "CREMA-D (Open Database License; acted English, twelve sentences, 91 actors; its "
    "audio **reconstructed from images of its spectrograms**, up to 3 s)",
    "nemo": "nEMO (CC BY-NC-SA 4.0: non-commercial; acted Polish)",
    "emospeech": "EmoSpeech, users whose name begins with a letter (CC BY-NC-SA 4.0: "
    "non-commercial; Indian speakers, single words on telephones)",
    "speechocean762": "speechocean762 train (CC BY 4.0; read by adults and children with a "
    "Mandarin accent, labelled neutral here)",
    "librispeech_train7": "LibriSpeech train-clean-100, seven speakers (CC BY 4.0; read, labelled "
    "neutral here)",
}

_TEACHER = """\
* Soft labels for the same recordings from a linear layer on the frozen encoder of Whisper (MIT),
  cross-validated by speaker.
"""


def card(
    metrics: dict[str, Any],
    corpora: Collection[str],
    chunk: int,
    licence: str,
    taught: bool = False,
) -> str:
    """Return Markdown: description, training data, metrics, licence.

    Args:
        metrics: metrics by test corpus; ``temperature``.
        corpora: training corpora.
        chunk: chunk size in frames of 10 ms.
        licence: licence of the weights, as stated by the user.
        taught: whether it was distilled from a teacher.
    """
    learnt = "\n".join(
        f"* {_CORPORA.get(name, f'{name} (its licence is not recorded)')}" for name in corpora
    )
    chose = "; ".join(
        f"{name}: {', '.join(DEV_SPEAKERS[name])}" for name in corpora if name in DEV_SPEAKERS
    )
    tests = {
        _test(name): found
        for name, found in metrics.items()
        if isinstance(found, dict) and "per_class" in found
    }
    return f"""\
# Voice encoder

A causal convolutional network over log-mel frames with streaming attentive pooling. Input: audio in
chunks of {chunk * 10} ms. Output: probabilities of {", ".join(LABELS)}; valence; an embedding.

## Test

{table(tests, ("uar", "accuracy", "ece")) if tests else ""}
The weights and the temperature ({metrics["temperature"]:.2f}) were chosen on dev speakers: {chose}.
Without an effective n the people are too few to be drawn again: the interval takes recordings as
independent and is too narrow. Command: `mera-edge results pages voice --data DIR`.

## Training data

{learnt}
* Noise: UrbanSound8K folds 1 and 2 (CC BY-NC 3.0: non-commercial). Rooms are simulated.
{_TEACHER if taught else ""}
Licence of the weights: {licence_text(licence)}.

## Limits

The training data is acted by adults. Accuracy is lower for spontaneous speech, children, other
languages and distant microphones. Happy, angry and surprised voices are often confused. Valence is
derived from the acted label; it was not rated. The model does not know how a person really feels.
Results by sex, by level and for two simultaneous speakers: docs/results/strangers.md.
"""


def _test(corpus: str) -> str:
    if corpus in TEST_SPEAKERS:
        return f"{corpus}, speakers {' and '.join(TEST_SPEAKERS[corpus])}"
    return f"{corpus}, not trained on"
