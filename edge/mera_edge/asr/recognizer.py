"""The streaming recognizer: log-mel frames in, words out, at a flat cost per chunk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.decode import BLANK, Decoder, Greedy, Token
from mera_edge.asr.lexicon import Lexicon
from mera_edge.bundle import Bundle
from mera_edge.bundle.load import Role
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import BundleError, InputError
from mera_edge.features.fbank import FLOOR, FRAME_SHIFT_S, SPEC

WORD_START = "▁"
SOUND_MS = 40
"""What a phone is named for, where the bundle has a lexicon."""
_TAIL = 20
"""Frames of silence after the end of a stream, at least: the last unit may come a little late."""


@dataclass(frozen=True, slots=True)
class Word:
    """A recognized word, with its place in the stream (seconds)."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What has been said since the last reset, as far as it is known.

    Attributes:
        confidence: mean of the words' confidences, 0 without words.
        end_s: stream time up to which sound has been decoded.
        final: nothing will be added: the stream has ended, or an endpoint was found.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    end_s: float
    final: bool


class Recognizer:
    """Recognizes one stream of speech.

    The model has the WeNet streaming CTC interface: a window of frames, an attention cache and a
    convolution cache of fixed shapes, and a mask that hides what is not yet filled. Neither time
    nor memory of a chunk depends on how long the stream has lasted.

    Args:
        bundle: where the model comes from.
        settings: how to search, and when an utterance is over.

    Raises:
        BundleError: the bundle has no recognizer, or one for other features.
        InputError: a hot word cannot be written with the recognizer's units.
    """

    def __init__(self, bundle: Bundle, settings: RecognitionSettings = RECOGNITION) -> None:
        role = bundle.role("asr")
        role.require_features(SPEC)
        self._engine = role.engine()
        self._settings = settings
        self._symbols = read_symbols(role.path("tokens"))
        self._lexicon = _lexicon(role, settings)
        inputs, outputs = self._engine.inputs, list(self._engine.outputs)
        self._log_probabilities, self._next_attention, self._next_convolution = outputs
        _, chunk, classes = self._engine.outputs[self._log_probabilities].shape
        if classes != len(self._symbols):
            raise BundleError(
                f"the recognizer has {classes} classes, but {len(self._symbols)} tokens",
                "export the bundle again",
            )
        subsampling = int(self._engine.metadata["subsampling_factor"])
        self._decoder: Decoder
        if self._lexicon is None:
            self._decoder = _decoder(role, self._symbols, settings)
        else:
            from mera_edge.asr.words import WordSearch

            self._decoder = WordSearch(self._lexicon, subsampling * 10 // SOUND_MS)
            self._symbols = [WORD_START + word for word in self._lexicon.words]
        self._chunk, self._shift = chunk, chunk * subsampling
        self._encoder_frame_s = subsampling * FRAME_SHIFT_S
        self._left = inputs["attn_mask"].shape[2] - chunk
        self._feeds = {name: np.zeros(spec.shape, spec.dtype) for name, spec in inputs.items()}
        self._feeds["required_cache_size"][0] = self._left
        self._window = self._feeds["x"][0]
        self._filled = 0
        self._start_s = self._heard_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Begin the next utterance; allocates nothing.

        Frames that came too late for the last window belong to the new utterance, so that no
        sound is lost at an endpoint. After `flush` there are none.
        """
        for name in ("attn_cache", "conv_cache", "attn_mask"):
            self._feeds[name].fill(0)
        self._feeds["attn_mask"][..., self._left :] = True
        self._feeds["offset"][0] = self._left
        self._start_s = self._time(self._decoder.frames)
        self._decoder.reset()
        self._ended = False

    def accept(self, frames: NDArray[np.float32], end_s: float, samples: object = None) -> None:
        """Take the next log-mel frames ``[n, 80]``, the last of which ends at ``end_s``.

        Other recognizers hear samples; this one has no use for them.
        """
        if self._decoder.frames == 0:
            self._start_s = end_s - (self._filled + len(frames)) * FRAME_SHIFT_S
        self._heard_s = end_s
        self._push(frames)

    def flush(self) -> None:
        """End the stream: decode what is left, with silence after it."""
        if self._filled:
            missing = len(self._window) - self._filled
            silence = missing if missing >= _TAIL else missing + self._shift
            self._push(np.full((silence, self._window.shape[1]), FLOOR, np.float32))
        self._filled = 0
        self._ended = True

    @property
    def hypothesis(self) -> Hypothesis:
        """What has been said since the last reset."""
        words = tuple(self._words())
        return Hypothesis(
            text=" ".join(word.text for word in words),
            words=words,
            confidence=float(np.mean([word.confidence for word in words])) if words else 0.0,
            end_s=self._time(self._decoder.frames),
            final=self._ended or self.is_endpoint(),
        )

    def is_endpoint(self) -> bool:
        """Whether one of the endpoint rules says that the utterance is over."""
        tokens, frames = self._decoder.tokens, self._decoder.frames
        silent = frames - 1 - tokens[-1].last if tokens else frames
        silence_s, length_s = silent * self._encoder_frame_s, frames * self._encoder_frame_s
        rules = self._settings
        return (
            silence_s >= rules.rule1_min_trailing_silence
            or (bool(tokens) and silence_s >= rules.rule2_min_trailing_silence)
            or length_s >= rules.rule3_min_utterance_length
        )

    def _push(self, frames: NDArray[np.float32]) -> None:
        size = len(self._window)
        while len(frames):
            taken = min(size - self._filled, len(frames))
            self._window[self._filled : self._filled + taken] = frames[:taken]
            self._filled += taken
            frames = frames[taken:]
            if self._filled == size:
                self._decode()
                kept = size - self._shift
                self._window[:kept] = self._window[self._shift :]
                self._filled = kept

    def _decode(self) -> None:
        feeds = self._feeds
        outputs = self._engine.run(feeds)
        feeds["attn_cache"] = outputs[self._next_attention]
        feeds["conv_cache"] = outputs[self._next_convolution]
        feeds["offset"] += self._chunk
        visible = feeds["attn_mask"]
        visible[..., : -self._chunk] = visible[..., self._chunk :]
        if self._lexicon is None:
            self._decoder.accept(outputs[self._log_probabilities][0])
        else:
            keys = outputs[self._next_attention][self._lexicon.block]
            self._decoder.accept(self._lexicon.name(keys[:, -self._chunk :]))

    def _time(self, frame: int) -> float:
        """Stream time of an encoder frame; the silence after the end has no time of its own."""
        return min(self._start_s + frame * self._encoder_frame_s, self._heard_s)

    def _words(self) -> list[Word]:
        groups: list[list[Token]] = []
        for token in self._decoder.tokens:
            if not groups or self._symbols[token.symbol].startswith(WORD_START):
                groups.append([])
            groups[-1].append(token)
        words = [
            Word(
                text="".join(self._symbols[t.symbol] for t in group).replace(WORD_START, ""),
                start_s=self._time(group[0].first),
                end_s=self._time(group[-1].last + 1),
                confidence=float(np.mean([t.confidence for t in group])),
            )
            for group in groups
        ]
        return [word for word in words if word.text]


def _lexicon(role: Role, settings: RecognitionSettings) -> Lexicon | None:
    """Return what a word search needs, if that is the search.

    Hot words are spelled: a name is rarely in a lexicon.
    """
    known = "words" in role.entry.files
    if settings.search == "words" and not known:
        raise BundleError(
            "the recognizer has no lexicon", "search with beam, or export it with one"
        )
    if not known or settings.hot_words or settings.search not in (None, "words"):
        return None
    return role.read("words", Lexicon)


def _decoder(role: Role, symbols: list[str], settings: RecognitionSettings) -> Decoder:
    """Return the search for units that the settings ask for, or that the bundle is made for."""
    known = "language_model" in role.entry.files
    if not settings.hot_words and (settings.search or ("beam" if known else "greedy")) == "greedy":
        return Greedy()
    from mera_edge.asr.beam import PrefixBeam
    from mera_edge.asr.language_model import LanguageModel

    def read(path: Path) -> LanguageModel:
        return LanguageModel(path, len(symbols))

    model = role.read("language_model", read) if known else None
    hot_words = [spell(word, symbols) for word in settings.hot_words]
    return PrefixBeam(settings.beam, model, hot_words, settings.hot_words_boost)


def spell(text: str, symbols: list[str]) -> tuple[int, ...]:
    """Return the units of a text, as byte-pair encoding finds them: of two neighbours that are a
    unit together, those with the lowest class are joined first.

    Raises:
        InputError: it has a character that is no unit.
    """
    classes = {symbol: number for number, symbol in enumerate(symbols)}
    parts = list(WORD_START + WORD_START.join(text.lower().split()))
    while True:
        joined = [(classes.get(a + b, len(symbols)), i) for i, (a, b) in enumerate(pairwise(parts))]
        best, place = min(joined, default=(len(symbols), 0))
        if best == len(symbols):
            break
        parts[place : place + 2] = [symbols[best]]
    strange = "".join(part for part in parts if part not in classes)
    if strange:
        raise InputError(
            f"hot word {text!r}: the recognizer cannot write {strange!r}",
            "spell it as it is spoken, without digits and punctuation",
        )
    return tuple(classes[part] for part in parts)


def read_symbols(path: Path) -> list[str]:
    """Read ``tokens.txt``: a symbol and its class on every line, the blank being class 0.

    Raises:
        BundleError: a line is no such pair, or the classes are not 0, 1, 2, …
    """
    symbols = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        symbol, _, index = line.rpartition(" ")
        if index != str(number):
            raise BundleError(f"{path}, line {number + 1}: class {number} expected, not {line!r}")
        symbols.append(symbol)
    if len(symbols) <= BLANK + 1:
        raise BundleError(f"{path} lists no symbols", "export the bundle again")
    return symbols
