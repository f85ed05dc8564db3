"""The voice encoder's model card."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mera_train.provenance import stated
from mera_train.voice.data import DEV_SPEAKERS, LABELS, TEST_SPEAKERS

_CORPORA = {
    "ravdess_speech": "RAVDESS speech (CC BY-NC-SA 4.0: non-commercial; acted English, two "
    "sentences)",
    "crema_d": "CREMA-D (Open Database License; acted English, twelve sentences, 91 actors; its "
    "sound **rebuilt from pictures of its spectrograms**, up to 3 s)",
    "nemo": "nEMO (CC BY-NC-SA 4.0: non-commercial; acted Polish)",
    "emospeech": "EmoSpeech, users whose name begins with a letter (CC BY-NC-SA 4.0: "
    "non-commercial; Indian speakers, single words on telephones)",
    "speechocean762": "speechocean762 train (CC BY 4.0; read by adults and children with a "
    "Mandarin accent, taken for neutral)",
    "librispeech_train7": "LibriSpeech train-clean-100, seven speakers (CC BY 4.0; read, taken "
    "for neutral)",
}


def card(metrics: dict[str, Any], corpora: Collection[str], chunk: int, licence: str) -> str:
    """The model card: what it learnt from, how well, under which licence.

    Args:
        metrics: by corpus that measured; ``temperature``.
        corpora: that it was trained on.
        chunk: in frames of 10 ms.
        licence: of the weights, as its user states it.
    """
    learnt = "\n".join(
        f"  * {_CORPORA.get(name, f'{name} (its licence is not recorded)')}" for name in corpora
    )
    chose, unheard = (
        ", ".join(f"{name} {' '.join(who[name])}" for name in corpora if name in who)
        for who in (DEV_SPEAKERS, TEST_SPEAKERS)
    )
    tests = "".join(
        f"* {_test(name)}, {len(found['per_class'])} classes, {found['n']} recordings: UAR "
        f"{found['uar']:.1%}, expected calibration error {found['ece']:.3f}.\n"
        for name, found in metrics.items()
        if isinstance(found, dict) and "per_class" in found
    )
    return f"""\
# Voice: how something is said

A causal convolutional encoder over log-mel frames with carried attentive pooling. It answers every
{chunk * 10} ms with probabilities of {", ".join(LABELS)},
valence and an embedding.

* Data, with the licence where it is a corpus that this project knows:
{learnt}
  * noise: UrbanSound8K folds 1 and 2 (CC BY-NC 3.0: non-commercial); rooms are simulated
* Licence of the weights: {stated(licence)}.
* These speakers chose the weights and the temperature ({metrics["temperature"]:.2f}, inside the
  graph): {chose}. These were never used: {unheard}.
{tests}* A few voices are a small sample: six folds by RAVDESS actor
  (train/configs/voice/folds.yaml, docs/results/voice.md) measure the method.
* Acted emotions of adults. Spontaneous speech, children, other languages, far microphones:
  less sure. Happy, angry and surprised voices are taken for each other. Valence is learnt from
  the acted label, not from ratings. No statement about how a person really feels.
"""


def _test(corpus: str) -> str:
    if corpus in TEST_SPEAKERS:
        return f"{corpus}, speakers {' and '.join(TEST_SPEAKERS[corpus])}"
    return f"{corpus}, never trained or tuned on"
