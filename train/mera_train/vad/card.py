"""The speech detector's model card."""

from __future__ import annotations

from typing import Any

from mera_train.provenance import licence_text


def card(metrics: dict[str, Any], licence: str) -> str:
    """Return Markdown: description, training data, metrics, licence."""
    dev = metrics["dev"]
    return f"""\
# Speech detector

A causal convolutional network over log-mel frames. Output: the probability of speech, every 40 ms.
The output does not depend on the level of the audio.

## Dev

The weights were chosen on composed scenes of dev speakers and dev noise, at -5 to 30 dB. Training
measured these figures; intervals were not kept. Results on recordings with intervals, a comparison
with another detector, and the commands: docs/results/vad.md.

| figure | value |
| --- | --- |
| speech detected, % of the time | {100 * dev["recall"]:.1f} |
| false alarms, % of the other time | {100 * dev["false_alarms"]:.1f} |

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
