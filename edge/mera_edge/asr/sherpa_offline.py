"""Published recognizers of whole utterances, run by sherpa-onnx: SenseVoice, Whisper, Parakeet, ...

The model type is determined from the files and the metadata of the network, because a wrong type
makes sherpa-onnx end the process. If a network exists in two precisions, INT8 is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Alternatives
from mera_edge.asr.utterance import UtteranceText
from mera_edge.engine.onnx import read_metadata
from mera_edge.errors import InputError, MissingExtra
from mera_edge.features.fbank import SAMPLE_RATE

_UNTOLD = math.log(0.8)
"""Token log-probability assumed for recognizers that return none, as most of them do."""

_SPEECH = ("", "Speech")
"""SenseVoice's event tag for speech; other models have no event tag."""


class SherpaUtterances:
    """Recognizes whole utterances.

    Args:
        directory: of the model.
        languages: ISO 639-1 codes; speech that the model identifies as another language gives no
            text. Empty: all that it supports.

    Raises:
        MissingExtra: sherpa-onnx is not installed.
        InputError: the directory does not contain a model for whole utterances.
    """

    def __init__(self, directory: Path, languages: tuple[str, ...] = ()) -> None:
        self._recognizer = _open(directory)
        self._languages = languages

    def recognize(
        self, samples: NDArray[np.float32], streamed: Alternatives | None = None
    ) -> UtteranceText:
        """Transcribe an utterance.

        Args:
            samples: ``[n]`` at 16 kHz, from -1 to 1.
            streamed: ignored: these recognizers cannot score texts.
        """
        stream = self._recognizer.create_stream()
        stream.accept_waveform(SAMPLE_RATE, samples)
        self._recognizer.decode_stream(stream)
        result = stream.result
        language, event = (str(tag).strip("<|>") for tag in (result.lang, result.event))
        strange = bool(language and self._languages) and language not in self._languages
        text = "" if strange or event not in _SPEECH else result.text.strip()
        told = list(result.ys_log_probs)
        log_probability = float(np.mean(told)) if told else _UNTOLD
        return UtteranceText(text, log_probability, (log_probability,) * len(text.split()))


def _open(directory: Path) -> Any:
    try:
        from sherpa_onnx import OfflineRecognizer
    except ImportError as error:
        raise MissingExtra("sherpa-onnx", "sherpa") from error
    tokens = _found(directory, "tokens", ".txt")
    if tokens is None:
        raise InputError(
            f"{directory} has no tokens.txt", "give the directory of a sherpa-onnx model"
        )
    common = {"tokens": str(tokens), "num_threads": 1}
    parts = {name: _found(directory, name) for name in _PARTS}
    found = {name: str(path) for name, path in parts.items() if path is not None}
    if found.keys() >= _MOONSHINE.keys():
        files = {_MOONSHINE[name]: found[name] for name in _MOONSHINE}
        return OfflineRecognizer.from_moonshine(**files, **common)
    if found.keys() >= {"encoder", "decoder"}:
        return _encoder_decoder(OfflineRecognizer, found, common)
    model = _found(directory, None)
    if model is None or found:
        raise InputError(f"{directory} contains no complete model", "unpack or pull it again")
    kind = read_metadata(model).get("model_type", "")
    if kind.startswith("sense_voice"):
        return OfflineRecognizer.from_sense_voice(model=str(model), use_itn=True, **common)
    if kind.startswith("paraformer"):
        return OfflineRecognizer.from_paraformer(paraformer=str(model), **common)
    raise InputError(
        f"{model} is neither SenseVoice nor Paraformer (model_type {kind!r})",
        "give a model for whole utterances; others are not supported",
    )


def _encoder_decoder(recognizer: Any, found: Mapping[str, str], common: Mapping[str, Any]) -> Any:
    facts = read_metadata(Path(found["encoder"]))
    kind = facts.get("model_type", "")
    if "joiner" in found and "decode_chunk_len" not in facts:
        files = {name: found[name] for name in ("encoder", "decoder", "joiner")}
        nemo = "nemo_transducer" if kind.startswith("EncDec") else ""
        return recognizer.from_transducer(**files, model_type=nemo, **common)
    if kind.startswith("whisper"):
        return recognizer.from_whisper(encoder=found["encoder"], decoder=found["decoder"], **common)
    raise InputError(
        f"{found['encoder']} is neither Whisper's encoder nor that of an offline transducer",
        "give a streaming model with --asr sherpa:DIR",
    )


_MOONSHINE = {
    "preprocess": "preprocessor",
    "encode": "encoder",
    "uncached_decode": "uncached_decoder",
    "cached_decode": "cached_decoder",
}
"""Moonshine's files, and sherpa-onnx's names for them."""
_PARTS = ("encoder", "decoder", "joiner", *_MOONSHINE)


def _found(directory: Path, name: str | None, suffix: str = ".onnx") -> Path | None:
    """Return the file with the word ``name`` in its name, such as ``base-encoder.int8.onnx``."""
    files = sorted(directory.glob(f"*{suffix}"), key=lambda path: (".int8." not in path.name, path))
    named = (path for path in files if name is None or name in re.split("[.-]", path.name))
    return next(named, None)
