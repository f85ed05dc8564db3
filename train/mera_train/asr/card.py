"""The recognizer's model card."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from mera_train.asr.config import Config
from mera_train.provenance import licence_text

_NETWORKS = {
    "conformer": "A causal conformer",
    "deepspeech2": "DeepSpeech2's LSTMs that only look back,",
    "whisper": "Whisper's encoder, in chunks that see a bounded past,",
}
_CORPORA = {
    "speechocean762": "speechocean762 train (CC BY 4.0; Mandarin-accented, half of the speakers "
    "are children; without the sentences that its test also has)",
    "librispeech_train7": "LibriSpeech: seven speakers of train-clean-100 (CC BY 4.0)",
    "librispeech_dev20": "LibriSpeech: twenty speakers of dev-clean (CC BY 4.0)",
    "lj_text_male": "one man reading LJSpeech sentences (Apache-2.0)",
    "lj_woman": "LJSpeech (public domain)",
    "cmu_arctic_man": "CMU Arctic: one man (free)",
    "common_voice_100": "Common Voice (CC0)",
    "english_small": "NLTK's sample of TIMIT (non-commercial), sentences of one Hi-Fi TTS speaker "
    "and of four VCTK speakers (CC BY 4.0)",
}


def card(config: Config, metrics: Mapping[str, Any]) -> str:
    """Return Markdown: description, training data, metrics.

    Args:
        config: the training configuration.
        metrics: ``dev``: rates; ``begun``: initial checkpoint; ``hours`` of recorded speech by
            corpus; ``synthetic_hours``.
    """
    hours = metrics.get("hours") or dict.fromkeys(config.corpora)
    corpora = [
        f"* {_CORPORA.get(name, f'{name} (its licence is not recorded)')}"
        + (f": {part:.2f} h" if part is not None else "")
        for name, part in hours.items()
    ]
    if synthetic := metrics.get("synthetic_hours"):
        corpora.append(f"* {synthetic:.1f} hours of synthetic speech")
    if config.augment and config.augment.noise_prob:
        corpora.append("* noise: UrbanSound8K folds 1 and 2 (CC BY-NC 3.0: non-commercial)")
    return f"""\
# Streaming speech recognizer

{_NETWORKS[config.model.kind]} with CTC over {len(config.symbols)} units, {metrics["begun"]}.

## Dev

{_asked(metrics["dev"])}

| figure | value | 95 % interval |
| --- | --- | --- |
| word error rate, % | {_cells(metrics["dev"], "wer")} |
| character error rate, % | {_cells(metrics["dev"], "cer")} |

Command: `mera-edge results pages asr --data DIR`.

## Training data

{chr(10).join(corpora)}

Licence of the weights: {licence_text(config.licence)}.

## Limits

Speech that is unlike these recordings, and other languages. By age and sex of the speaker:
docs/results/strangers.md.
"""


def _asked(dev: Mapping[str, Any]) -> str:
    whose = f" of {dev['people']} speakers" if "people" in dev else ""
    drawn = (
        f"over speakers; effective n {dev['effective_n']}"
        if "effective_n" in dev
        else "over recordings, taken as independent"
    )
    text = (
        f"Greedy search, {dev['n']:,} recordings{whose}, {dev['words']:,} words. They chose the "
        f"weights; no speaker of them is in the training data, where speakers are named. The "
        f"intervals are bootstrapped {drawn}."
    )
    return textwrap.fill(text, 100)


def _cells(dev: Mapping[str, Any], name: str) -> str:
    low, high = dev["interval_95"][name]
    return f"{100 * dev[name]:.1f} | {100 * low:.1f} to {100 * high:.1f}"
