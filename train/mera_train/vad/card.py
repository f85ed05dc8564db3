"""The speech detector's model card."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from mera_edge.metrics.confusion import wilson
from mera_train.figures import markdown
from mera_train.provenance import licence_text

_TESTS = {
    "noise, fold 10": "street noises (UrbanSound8K fold 10) taken for speech",
    "ravdess_speech, clean": "recordings in which speech is detected: RAVDESS actors 23 and 24",
    "speechocean762, clean": "the same: speechocean762 test",
    "emodb_4class, clean": "the same: EmoDB (German)",
    "urdu, clean": "the same: Urdu",
}
"""Tests of `mera_train.vad.measure` that the card shows."""


def card(metrics: Mapping[str, Any], licence: str) -> str:
    """Return Markdown: description, training data, metrics, licence.

    Args:
        metrics: ``dev``, of the training; ``test``, once it was measured.
        licence: of the weights, as stated by the user.
    """
    return f"""\
# Speech detector

A causal convolutional network over log-mel frames. Output: the probability of speech, every 40 ms.
The output does not depend on the level of the audio.

{_test(metrics["test"]) if "test" in metrics else _dev(metrics["dev"])}
## Training data

* Labels: Silero VAD 6.2.3 (MIT) on clean speech.
* Speech: RAVDESS speech (CC BY-NC-SA 4.0), nEMO (CC BY-NC-SA 4.0), speechocean762 train (CC BY
  4.0), LibriSpeech train-clean-100 (CC BY 4.0).
* Noise: UrbanSound8K folds 1 and 2 (CC BY-NC 3.0), synthetic music, alarms, hum and noise. Rooms,
  microphones and mixtures are simulated.

Licence of the weights: {licence_text(licence)}.

## Limits

It does not distinguish singing, laughter, crying or voices from a loudspeaker from speech in the
room.
"""


def _test(test: Mapping[str, Any]) -> str:
    rows = [
        [what, f"{test[name]['n']:,}", *_share(test[name]["ours"]["recordings"], test[name]["n"])]
        for name, what in _TESTS.items()
    ]
    found = markdown(["test, whole recordings", "n", "%", "95 % interval"], rows)
    text = (
        "Speakers and noises that were not trained on, with the default bundle. The intervals take "
        "recordings as independent, although some are of one person. With noise, at other levels, "
        "and beside another detector: docs/results/vad.md. The weights were chosen on composed "
        "scenes of dev speakers and dev noise. Command: `mera-edge results pages vad --data DIR`."
    )
    return f"## Test\n\n{found}\n{_wrapped(text)}\n"


def _share(share: float, n: int) -> tuple[str, str]:
    low, high = wilson(share * n, n)
    return f"{100 * share:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"


def _dev(dev: Mapping[str, Any]) -> str:
    rows = []
    for name, what in (
        ("recall", "speech detected, % of the time"),
        ("false_alarms", "false alarms, % of the other time"),
    ):
        low, high = dev["interval_95"][name]
        rows.append([what, f"{100 * dev[name]:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"])
    text = (
        f"{dev['n']:,} scenes composed of dev speakers and dev noise, at -5 to 30 dB. They chose "
        "the weights. The intervals are bootstrapped over scenes, which share recordings."
    )
    return f"## Dev\n\n{_wrapped(text)}\n\n{markdown(['figure', 'value', '95 % interval'], rows)}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
