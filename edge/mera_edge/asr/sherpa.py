"""Published streaming models, run by sherpa-onnx instead of the bundle's recognizer.

A model is a directory with ``tokens.txt`` and the ONNX files of a transducer (encoder, decoder,
joiner), a paraformer (encoder, decoder), a Zipformer CTC or a WeNet CTC (one file). If a network
exists in two precisions, INT8 is used.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mera_edge.asr.decoding.subwords import WORD_START
from mera_edge.asr.endpoint import Decoded, Endpoint
from mera_edge.asr.protocol import Hypothesis, Word
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import InputError, MissingExtra
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE

_TAIL_S = 0.8
"""Look-ahead of the networks: silence appended to a stream, and newest audio not decoded yet."""


class SherpaRecognizer:
    """Recognizes one stream of speech; like `mera_edge.asr.Recognizer`, but from samples.

    Args:
        directory: of the model.
        settings: search and endpoint settings.

    Raises:
        MissingExtra: sherpa-onnx is not installed.
        InputError: the directory does not contain a streaming model.
    """

    is_waiting = False

    def __init__(self, directory: Path, settings: RecognitionSettings = RECOGNITION) -> None:
        self._recognizer = _open(directory, settings)
        self._endpoint = Endpoint(settings)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._stream = self._recognizer.create_stream()
        self._start_s = self._heard_s = 0.0
        self._begun = self._ended = False
        self._known: Hypothesis | None = None
        self._endpoint.reset()

    def accept(self, block: AudioBlock) -> None:
        """Process the samples of the next block."""
        if not self._begun:
            self._start_s = block.end_s - len(block.samples) / SAMPLE_RATE
            self._begun = True
        self._heard_s = block.end_s
        self._endpoint.accept(block)
        self._stream.accept_waveform(SAMPLE_RATE, block.samples)
        self._decode()

    def partial(self) -> Hypothesis:
        """Return the words of the utterance so far."""
        if self._known is None:
            text = self._recognizer.get_result(self._stream).strip().lower()
            words = tuple(self._words()) if text else ()
            confidence = float(np.mean([word.confidence for word in words])) if words else 0.0
            self._known = Hypothesis(text, words, confidence, self._heard_s, final=False)
        return self._known

    def refine_partial(self, within_s: float) -> None:
        """Do nothing: there is no final pass."""

    def is_endpoint(self) -> bool:
        """Whether the utterance is over, by `Endpoint`; without a detector by sherpa-onnx."""
        if not self._endpoint.informed:
            return bool(self._recognizer.is_endpoint(self._stream))
        times = self._times() if self.partial().words else []
        word_end_s = self._start_s + times[-1] if times else None
        decoded_s = max(self._start_s, self._heard_s - _TAIL_S)
        return self._endpoint.reached(Decoded(self._start_s, decoded_s, word_end_s))

    def finalize(self, within_s: float) -> Hypothesis:
        """End the utterance; the text is final immediately."""
        final = replace(self.partial(), final=True)
        if self._ended:
            self._stream, self._ended = self._recognizer.create_stream(), False
        else:
            self._recognizer.reset(self._stream)
        self._begun, self._known = False, None
        return final

    def flush(self) -> None:
        """End the stream: decode the remaining audio, padded with silence."""
        if not self._ended:
            silence = np.zeros(round(_TAIL_S * SAMPLE_RATE), np.float32)
            self._stream.accept_waveform(SAMPLE_RATE, silence)
            self._stream.input_finished()
            self._decode()
        self._ended = True

    def _decode(self) -> None:
        while self._recognizer.is_ready(self._stream):
            self._recognizer.decode_stream(self._stream)
        self._known = None

    def _times(self) -> list[float]:
        """Return the start of each token in seconds after the utterance's start.

        Some models return no timestamps; the end of the audio stands for missing ones.
        """
        times = list(self._recognizer.timestamps(self._stream))
        missing = len(self._recognizer.tokens(self._stream)) - len(times)
        return times + [self._heard_s - self._start_s] * missing

    def _words(self) -> list[Word]:
        tokens = [str(token) for token in self._recognizer.tokens(self._stream)]
        times = self._times()
        # Only transducers return probabilities.
        sure = [math.exp(value) for value in self._recognizer.ys_probs(self._stream)]
        sure = sure if len(sure) == len(tokens) else [1.0] * len(tokens)
        begins = [i for i, token in enumerate(tokens) if i == 0 or _begins_word(token)]
        words = []
        for begin, end in pairwise([*begins, len(tokens)]):
            text = "".join(tokens[begin:end]).replace(WORD_START, "").strip().lower()
            last = times[end] if end < len(times) else self._heard_s - self._start_s
            words.append(
                Word(
                    text=text,
                    start_s=min(self._start_s + times[begin], self._heard_s),
                    end_s=min(self._start_s + last, self._heard_s),
                    confidence=float(np.mean(sure[begin:end])),
                )
            )
        return [word for word in words if word.text]


def _begins_word(token: str) -> bool:
    return token[:1] in (WORD_START, " ") or (token.isalpha() and ord(token[0]) >= 0x3400)


def _open(directory: Path, settings: RecognitionSettings) -> Any:
    try:
        from sherpa_onnx import OnlineRecognizer
    except ImportError as error:
        raise MissingExtra("sherpa-onnx", "sherpa") from error
    if settings.hot_words:
        raise InputError("hot words work only with the bundle's own recognizer", "omit them")
    tokens = directory / "tokens.txt"
    if not tokens.is_file():
        raise InputError(f"{tokens} does not exist", "give the directory of a sherpa-onnx model")
    common = {
        "tokens": str(tokens),
        "num_threads": 1,
        "enable_endpoint_detection": True,
        "rule1_min_trailing_silence": settings.rule1_min_trailing_silence,
        "rule2_min_trailing_silence": settings.rule2_min_trailing_silence,
        "rule3_min_utterance_length": settings.rule3_min_utterance_length,
    }
    parts = {name: _network(directory, name) for name in ("encoder", "decoder", "joiner")}
    found = {name: str(path) for name, path in parts.items() if path is not None}
    if len(found) == 3:
        return OnlineRecognizer.from_transducer(**found, **common)
    if "encoder" in found and "decoder" in found:
        return OnlineRecognizer.from_paraformer(**found, **common)
    model = _network(directory, "")
    if model is None or found:
        raise InputError(
            f"{directory} has no streaming model",
            "expected one .onnx file, or encoder, decoder and (for a transducer) joiner",
        )
    return _ctc(model, common)


def _ctc(model: Path, common: dict[str, Any]) -> Any:
    """Open a CTC model, by its metadata: a wrong model type makes sherpa-onnx end the process."""
    from sherpa_onnx import OnlineRecognizer

    from mera_edge.engine.onnx import read_metadata

    facts = read_metadata(model)
    if facts.get("model_type") == "zipformer2":
        return OnlineRecognizer.from_zipformer2_ctc(model=str(model), **common)
    if {"head", "num_blocks", "cnn_module_kernel", "right_context"} <= facts.keys():
        chunk, left = int(facts.get("chunk_size", 16)), int(facts.get("left_chunks", 4))
        return OnlineRecognizer.from_wenet_ctc(
            model=str(model), chunk_size=chunk, num_left_chunks=left, **common
        )
    raise InputError(
        f"{model} is neither a Zipformer nor a WeNet CTC model",
        "use a streaming model; no others are supported",
    )


def _network(directory: Path, name: str) -> Path | None:
    """Return the ONNX file whose name begins with ``name``, preferring INT8."""
    files = sorted(directory.glob(f"{name}*.onnx"), key=lambda path: ".int8." not in path.name)
    return files[0] if files else None
