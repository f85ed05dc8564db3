"""The streaming recognizer: log-mel frames in, words out, at a flat cost per chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.decode import Decoder, Greedy, Token
from mera_edge.asr.units import WORD_START, read_symbols, spell, words
from mera_edge.bundle import Bundle
from mera_edge.bundle.load import Role
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import BundleError
from mera_edge.features.fbank import FLOOR, FRAME_SHIFT_S, SPEC

if TYPE_CHECKING:
    from mera_edge.asr.beam import PrefixBeam
    from mera_edge.asr.language_model import LanguageModel
    from mera_edge.asr.second_pass import SecondPass

_FRAMES_A_SOUND = 4
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
        self._engine = role.stage_engine()
        self._settings = settings
        self._symbols = role.read("tokens", read_symbols)
        inputs, outputs = self._engine.inputs, list(self._engine.outputs)
        self._log_probabilities, self._next_attention, self._next_convolution = outputs
        _, chunk, classes = self._engine.outputs[self._log_probabilities].shape
        if classes != len(self._symbols):
            raise BundleError(
                f"the recognizer has {classes} classes, but {len(self._symbols)} tokens",
                "export the bundle again",
            )
        subsampling = int(self._engine.metadata["subsampling_factor"])
        search = _search(role, settings)
        self._decoder: Decoder = Greedy()
        self._second: tuple[PrefixBeam, SecondPass] | None = None
        if search != "greedy":
            self._decoder = beam = _beam(role, self._symbols, settings)
            if search == "words":
                self._second = beam, _second_pass(role, self._symbols)
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
        if self._second is not None:
            self._second[1].reset()
        self._ended = False

    def accept(self, frames: NDArray[np.float32], end_s: float, samples: object = None) -> None:
        """Take the next log-mel frames ``[n, 80]``, the last of which ends at ``end_s``.

        Other recognizers hear samples; this one has no use for them.
        """
        if self._decoder.frames == 0:
            self._start_s = end_s - (self._filled + len(frames)) * FRAME_SHIFT_S
        self._heard_s = end_s
        before = self._decoder.frames
        self._push(frames)
        if self._second is not None:
            # Beside a chunk there is no time for it, so it catches up before the next one.
            behind = self._shift if self._decoder.frames > before else 0
            self._second[1].search(2 * len(frames) // _FRAMES_A_SOUND, behind // _FRAMES_A_SOUND)

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
        final = self._ended or self.is_endpoint()
        found = tuple(self._words(self._final() if final else self._decoder.tokens))
        return Hypothesis(
            text=" ".join(word.text for word in found),
            words=found,
            confidence=float(np.mean([word.confidence for word in found])) if found else 0.0,
            end_s=self._time(self._decoder.frames),
            final=final,
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
        log_probabilities = outputs[self._log_probabilities][0]
        self._decoder.accept(log_probabilities)
        if self._second is not None:
            self._second[1].accept(log_probabilities, feeds["attn_cache"])

    def _final(self) -> Sequence[Token]:
        if self._second is None:
            return self._decoder.tokens
        beam, second = self._second
        return second.decide([words(text, self._symbols) for text in beam.texts])

    def _time(self, frame: int) -> float:
        """Stream time of an encoder frame; the silence after the end has no time of its own."""
        return min(self._start_s + frame * self._encoder_frame_s, self._heard_s)

    def _words(self, tokens: Sequence[Token]) -> list[Word]:
        groups: list[list[Token]] = []
        for token in tokens:
            if not groups or self._symbols[token.symbol].startswith(WORD_START):
                groups.append([])
            groups[-1].append(token)
        found = [
            Word(
                text="".join(self._symbols[t.symbol] for t in group).replace(WORD_START, ""),
                start_s=self._time(group[0].first),
                end_s=self._time(group[-1].last + 1),
                confidence=float(np.mean([t.confidence for t in group])),
            )
            for group in groups
        ]
        return [word for word in found if word.text]


def _search(role: Role, settings: RecognitionSettings) -> str:
    """Return the search that the settings ask for, or else that the bundle is made for.

    Hot words are spelled: a name is rarely in a lexicon.
    """
    known = "words" in role.entry.files
    if settings.search == "words" and not known:
        raise BundleError(
            "the recognizer has no lexicon", "search with beam, or export it with one"
        )
    if settings.hot_words:
        return "beam"
    best = "words" if known else "beam" if "language_model" in role.entry.files else "greedy"
    return settings.search or best


def _beam(role: Role, symbols: list[str], settings: RecognitionSettings) -> PrefixBeam:
    from mera_edge.asr.beam import PrefixBeam

    known = "language_model" in role.entry.files
    hot_words = [spell(word, symbols) for word in settings.hot_words]
    return PrefixBeam(
        settings.beam,
        _language_model(role, symbols) if known else None,
        hot_words,
        settings.hot_words_boost,
    )


def _second_pass(role: Role, symbols: list[str]) -> SecondPass:
    from mera_edge.asr.evidence import Knowledge
    from mera_edge.asr.lexicon import Lexicon
    from mera_edge.asr.second_pass import SecondPass

    if WORD_START not in symbols:
        raise BundleError("not every word can be written with the recognizer's units", "use beam")
    lexicon = role.read("words", Lexicon)
    blocks, heads, _, width = role.engine().inputs["attn_cache"].shape
    if not (0 <= lexicon.block < blocks and lexicon.inputs == heads * width):
        raise BundleError(
            "the lexicon is for another network than the recognizer's", "export again"
        )
    return SecondPass(Knowledge(lexicon, _language_model(role, symbols), symbols))


def _language_model(role: Role, symbols: list[str]) -> LanguageModel:
    from mera_edge.asr.language_model import LanguageModel

    def read(path: Path) -> LanguageModel:
        return LanguageModel(path, len(symbols))

    return role.read("language_model", read)
