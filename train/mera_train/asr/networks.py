"""The recognizer's networks by the ``kind`` of their configuration."""

from __future__ import annotations

from torch import Tensor

from mera_train.asr.deepspeech2 import DeepSpeech2
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.model import Conformer
from mera_train.asr.whisper import Whisper

Network = Conformer | DeepSpeech2 | Whisper

_KINDS: dict[str, type[Conformer] | type[DeepSpeech2] | type[Whisper]] = {
    "conformer": Conformer,
    "deepspeech2": DeepSpeech2,
    "whisper": Whisper,
}


def build(config: ModelConfig, mean: Tensor, inverse_std: Tensor, symbols: int) -> Network:
    """Build the untrained network of a configuration.

    Args:
        config: layer sizes.
        mean, inverse_std: global CMVN of every log-mel bin.
        symbols: number of classes, including blank.
    """
    return _KINDS[config.kind](config, mean, inverse_std, symbols)
