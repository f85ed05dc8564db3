"""The recognizer's model card."""

from __future__ import annotations

from collections.abc import Mapping

from mera_train.asr.config import Config
from mera_train.provenance import begun, stated

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


def card(
    config: Config, metrics: Mapping[str, float], hours: Mapping[str, float], synthetic: float
) -> str:
    """The model card: what it learnt from, and how well.

    Args:
        config: what it was trained with.
        metrics: on dev.
        hours: of recorded speech, by corpus.
        synthetic: hours of synthetic speech.
    """
    beside = f" and {synthetic:.1f} hours read by engines" if synthetic else ""
    corpora = [
        f"  * {_CORPORA.get(name, f'{name} (its licence is not recorded)')}: {part:.2f} h"
        for name, part in hours.items()
    ]
    if config.augment and config.augment.noise:
        corpora.append("  * noise: UrbanSound8K folds 1 and 2 (CC BY-NC 3.0: non-commercial)")
    return f"""\
# Streaming speech recognizer

{_NETWORKS[config.model.kind]} with CTC over {len(config.symbols)} units, {_begun(config)}, on
{sum(hours.values()):.1f} hours of speech{beside}.

* Data, with the licence where it is a corpus that this project knows:
{chr(10).join(corpora)}
* Licence of the weights: {stated(config.licence)}.
* Dev (other speakers, where speakers are named; they chose the weights): word error rate
  {metrics["wer"]:.1%}, character error rate {metrics["cer"]:.1%}, greedy.
* Not covered: what is unlike these recordings, other languages.
"""


def _begun(config: Config) -> str:
    if config.pretrained is not None:
        file, digest = config.pretrained.file.name, config.pretrained.sha256
        return f"begun from the pretrained weights {file} (SHA-256 {digest})"
    return begun(config.initial)
