"""Moonshine (Jeffries et al., 2024): a recognizer of whole utterances, run by ONNX Runtime.

The encoder takes samples without padding, so the cost grows with the length of the audio; the
decoder is autoregressive, and its token probabilities give the confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Alternatives, Words
from mera_edge.asr.decoding.subwords import WORD_START, joined
from mera_edge.asr.final_text import is_sure
from mera_edge.asr.hot_words import misheard
from mera_edge.asr.joint_rescoring import rescored, written
from mera_edge.asr.utterance import UtteranceText, repeats
from mera_edge.engine.onnx import open_session
from mera_edge.errors import EngineError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.metrics.word_error_rate import normalized

FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")

_BEGIN, _END = 1, 2
_TOKENS_A_SECOND = 6.5
"""Upper limit of the token rate of speech; a longer output is the decoder repeating itself."""
_WORD_START = WORD_START.encode()
_SHORTEST = SAMPLE_RATE // 4
"""Minimum input of the encoder in samples; shorter audio is padded with silence."""


@dataclass(frozen=True, slots=True)
class _Utterance:
    """An encoded utterance, with the decoder's state after the start token.

    Attributes:
        seconds: its duration.
        first: logits of the first token, ``[tokens]``.
        feeds: inputs of the next decoder step, without the tokens.
    """

    seconds: float
    first: NDArray[np.float32]
    feeds: dict[str, Any]


class Moonshine:
    """Recognizes whole utterances.

    Args:
        directory: contains the published `FILES`.
        hot_words: words and phrases to expect.
        boost: bonus in nats per token of a hot word.
        threads: intra-op threads.

    Raises:
        EngineError: the files are missing or not Moonshine's.
    """

    def __init__(
        self,
        directory: Path,
        hot_words: Sequence[str] = (),
        boost: float = 0.0,
        threads: int = 1,
    ) -> None:
        encoder, decoder, tokens = (directory / name for name in FILES)
        self._encoder = open_session(encoder, threads)
        self._decoder = open_session(decoder, threads)
        self._tokens = read_tokens(tokens)
        self._hot_words, self._boost = hot_words, boost
        self._before: tuple[NDArray[np.float32], _Utterance, UtteranceText] | None = None
        """Samples and result of the last utterance, if its text was not confident."""
        self._classes = {
            token.decode("utf-8", "replace"): number for number, token in enumerate(self._tokens)
        }
        self._masked = {"attention_mask"} & {node.name for node in self._encoder.get_inputs()}
        inputs = {node.name: node.shape for node in self._decoder.get_inputs()}
        self._decoder_masked = "encoder_attention_mask" in inputs
        self._outputs = [node.name for node in self._decoder.get_outputs()]
        try:
            # Rows are heads; an empty cache has no columns.
            self._empty = {
                name: np.zeros((1, shape[1], 0, shape[3]), np.float32)
                for name, shape in inputs.items()
                if name.startswith("past_key_values")
            }
        except (TypeError, IndexError) as error:
            raise EngineError(f"{decoder} is not a Moonshine decoder", "pull it again") from error

    def recognize(
        self, samples: NDArray[np.float32], streamed: Alternatives | None = None
    ) -> UtteranceText:
        """Transcribe an utterance.

        Args:
            samples: ``[n]`` at 16 kHz, from -1 to 1.
            streamed: alternatives of the streaming pass, used if this text is not confident.
        """
        before, self._before = self._before, None
        if before is None or before[0] is not samples:
            utterance, heard = self._heard(samples)
        else:
            _, utterance, heard = before
        if not heard.text or is_sure(heard):
            return heard
        if streamed is None:
            # The same utterance may come again with alternatives.
            self._before = samples, utterance, heard
            return heard
        return replace(heard, joint=self._joint(utterance, heard.text, streamed))

    def _heard(self, samples: NDArray[np.float32]) -> tuple[_Utterance, UtteranceText]:
        if len(samples) < _SHORTEST:
            samples = np.pad(samples, (0, _SHORTEST - len(samples)))
        utterance = self._begin(samples)
        said, log_probabilities = self._decode(utterance)
        if self._hot_words:
            said, log_probabilities = self._corrected(utterance, said, log_probabilities)
        return utterance, self._text(said, log_probabilities)

    def _joint(
        self, utterance: _Utterance, heard: str, streamed: Alternatives
    ) -> UtteranceText | None:
        """Return the best text by joint rescoring with the streaming pass."""

        found: dict[Words, tuple[list[int], list[float]]] = {}

        def score(words: Words) -> float:
            tokens = self._encoded(written(words, heard))
            found[words] = tokens, self._scored(utterance, tokens)
            return sum(found[words][1], 0.0)

        own = tuple(normalized(heard).split())
        tokens, log_probabilities = found[rescored(own, streamed, score)]
        return self._text(tokens, log_probabilities) if tokens else None

    def _text(self, said: list[int], log_probabilities: list[float]) -> UtteranceText:
        words = self._words(said, log_probabilities)
        return UtteranceText(
            text=" ".join(text for text, _ in words),
            log_probability=float(np.mean(log_probabilities)),
            words=tuple(log_probability for _, log_probability in words),
        )

    def _corrected(
        self, utterance: _Utterance, said: list[int], log_probabilities: list[float]
    ) -> tuple[list[int], list[float]]:
        """Insert hot words where the decoder's boosted score exceeds that of its own text."""
        text = " ".join(word for word, _ in self._words(said, log_probabilities))
        best, found = sum(log_probabilities), (said, log_probabilities)
        for other, hot in misheard(text, self._hot_words):
            tokens = self._encoded(other)
            scores = self._scored(utterance, tokens)
            boosted = sum(scores) + self._boost * len(self._encoded(hot))
            if boosted > best:
                best, found = boosted, (tokens, scores)
        return found

    def _encoded(self, text: str) -> list[int]:
        """Return the tokens of a text; empty if it has no words or cannot be encoded."""
        parts = joined(WORD_START + WORD_START.join(text.split()), self._classes)
        known = bool(text) and all(part in self._classes for part in parts)
        return [self._classes[part] for part in parts] if known else []

    def _begin(self, samples: NDArray[np.float32]) -> _Utterance:
        mask = np.ones((1, len(samples)), np.int64)
        heard = {"input_values": samples[None].astype(np.float32)}
        (hidden,) = self._encoder.run(None, heard | dict.fromkeys(self._masked, mask))
        feeds: dict[str, Any] = {"encoder_hidden_states": hidden}
        if self._decoder_masked:
            feeds["encoder_attention_mask"] = mask
        scores, cache = self._step(
            feeds | self._empty | {"use_cache_branch": np.array([False])}, [_BEGIN]
        )
        feeds |= cache | {"use_cache_branch": np.array([True])}
        return _Utterance(len(samples) / SAMPLE_RATE, scores[-1], feeds)

    def _step(
        self, feeds: dict[str, Any], tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the logits after each of ``tokens``, and the cache."""
        found = self._decoder.run(None, feeds | {"input_ids": np.array([tokens], np.int64)})
        answer = dict(zip(self._outputs, found, strict=True))
        renamed = {name: name.replace("past_key_values", "present") for name in self._empty}
        return answer["logits"][0], {name: answer[there] for name, there in renamed.items()}

    def _scored(self, utterance: _Utterance, tokens: Sequence[int]) -> list[float]:
        """Return the log-probability of each token and of the end token; ``-inf`` if there are no
        tokens, since the text could not be encoded."""
        if not tokens:
            return [-math.inf]
        logits, _ = self._step(utterance.feeds, tokens)
        scores = np.concatenate([utterance.first[None], logits]).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return [float(scores[at, token]) for at, token in enumerate([*tokens, _END])]

    def _decode(self, utterance: _Utterance) -> tuple[list[int], list[float]]:
        """Decode greedily; return the tokens and their log-probabilities."""
        feeds, logits = dict(utterance.feeds), utterance.first
        said: list[int] = []
        log_probabilities: list[float] = []
        for _ in range(int(utterance.seconds * _TOKENS_A_SECOND) + 4):
            scores = logits.astype(np.float64)
            newest = int(scores.argmax())
            log_probabilities.append(float(-np.log(np.exp(scores - scores[newest]).sum())))
            if newest == _END or repeats(said):
                break
            said.append(newest)
            following, cache = self._step(feeds, [newest])
            logits = following[-1]
            # The cross-attention cache is constant, and later steps do not return it.
            feeds |= {name: kept for name, kept in cache.items() if ".decoder." in name}
        return said, log_probabilities

    def _words(self, said: list[int], log_probabilities: list[float]) -> list[tuple[str, float]]:
        """Return the words, each with the log-probability of its least likely token."""
        words: list[tuple[bytes, float]] = []
        for token, log_probability in zip(said, log_probabilities, strict=False):
            part = self._tokens[token] if token < len(self._tokens) else b""
            if part.startswith(b"<") and part.endswith(b">"):
                continue
            if part.startswith(_WORD_START) or not words:
                words.append((b"", 0.0))
            before, least = words[-1]
            words[-1] = before + part.replace(_WORD_START, b" "), min(least, log_probability)
        spelled = [(part.decode("utf-8", "ignore").split(), p) for part, p in words]
        return [(word, p) for parts, p in spelled for word in parts]


def read_tokens(path: Path) -> list[bytes]:
    """Read length-prefixed tokens; lengths from 128 on take two bytes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path} cannot be read ({error.strerror})", "pull it again") from error
    tokens, at = [], 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128 and at < len(data):
            length, at = data[at] * 128 + length - 128, at + 1
        tokens.append(data[at : at + length])
        at += length
    return tokens
