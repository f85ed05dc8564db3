"""The speech detector's model card."""

from __future__ import annotations

from typing import Any

from mera_train.provenance import stated


def card(metrics: dict[str, Any], licence: str) -> str:
    """The model card: what it learnt from, how well, under which licence."""
    dev = metrics["dev"]
    return f"""\
# Speech or not

A causal convolutional network over log-mel frames that says every 40 ms how probably somebody
speaks. The level of the sound does not matter.

* Teacher: Silero VAD 6.2.3 (MIT), on speech without noise.
* Speech: RAVDESS speech (CC BY-NC-SA 4.0), nEMO (CC BY-NC-SA 4.0), speechocean762 train (CC BY
  4.0), LibriSpeech train-clean-100 (CC BY 4.0). Noise: UrbanSound8K folds 1 and 2 (CC BY-NC 3.0),
  made music, alarms, hum and noise. Rooms, microphones and mixtures are simulated.
* Licence of the weights: {stated(licence)}.
* On composed scenes of dev speakers and dev noise, at -5 to 30 dB: {dev["recall"]:.1%} of the
  speech is heard, {dev["false_alarms"]:.1%} of the rest is taken for speech.
* Singing, laughter, crying and voices from a loudspeaker are not told apart from speech in the
  room.
"""
