"""The bundle's recognizer: log-mel frames in, words out, at a constant cost per chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.decoding.ctc import Decoder, Greedy, Token
from mera_edge.asr.decoding.subwords import WORD_START, bpe_encode, read_symbols, words
from mera_edge.asr.endpoint import Decoded, Endpoint
from mera_edge.asr.protocol import Hypothesis, Word
from mera_edge.asr.steps import Resumable, Steps
from mera_edge.bundle import Bundle
from mera_edge.bundle.load import Role
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import BundleError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import FLOOR, FRAME_SHIFT_S, SPEC

if TYPE_CHECKING:
    from mera_edge.asr.decoding.ngram_lm import LanguageModel
    from mera_edge.asr.decoding.prefix_beam import PrefixBeam
    from mera_edge.asr.decoding.rescoring import Rescoring

_LOG_MEL_PER_PHONE_FRAME = 4
_TAIL = 20
"""Minimum frames of silence after the end of a stream: CTC may emit the last unit late."""


@dataclass(frozen=True, slots=True)
class _UtteranceClock:
    """Converts encoder frames of an utterance to stream time in seconds."""

    start_s: float
    frame_s: float
    """Duration of an encoder frame."""
    heard_s: float

    def time(self, frame: int) -> float:
        """Stream time of an encoder frame, clipped to the audio without the padding."""
        return min(self.start_s + frame * self.frame_s, self.heard_s)


class Recognizer:
    """Recognizes one stream of speech.

    The model has the WeNet streaming CTC interface: a window of frames, an attention cache and a
    convolution cache of fixed shapes, and a mask of the cache entries not filled yet. Time and
    memory per chunk do not depend on the length of the stream. The cost of rescoring, if enabled,
    grows with the utterance; `finalize` spreads it over several calls.

    Args:
        bundle: contains the model.
        settings: search and endpoint settings.

    Raises:
        BundleError: the bundle has no recognizer, or one that expects different features.
        InputError: a hot word cannot be written with the recognizer's units.
    """

    is_waiting = False

    def __init__(self, bundle: Bundle, settings: RecognitionSettings = RECOGNITION) -> None:
        role = bundle.role("asr")
        role.require_features(SPEC)
        self._engine = role.stage_engine()
        self._endpoint = Endpoint(settings)
        self._symbols = role.read("tokens", read_symbols)
        inputs = self._engine.inputs
        self._log_probabilities, self._next_attention, self._next_convolution = self._engine.outputs
        _, chunk, classes = self._engine.outputs[self._log_probabilities].shape
        if classes != len(self._symbols):
            raise BundleError(
                f"the recognizer has {classes} classes, but {len(self._symbols)} tokens",
                "export the bundle again",
            )
        subsampling = int(self._engine.metadata["subsampling_factor"])
        search = _search(role, settings)
        self._decoder: Decoder = Greedy()
        self._rescoring: tuple[PrefixBeam, Callable[[], Rescoring]] | None = None
        if search != "greedy":
            self._decoder = beam = _beam(role, self._symbols, settings)
            if search == "words":
                self._rescoring = beam, _second_pass(role, self._symbols)
        self._chunk, self._shift = chunk, chunk * subsampling
        self._encoder_frame_s = subsampling * FRAME_SHIFT_S
        self._left = inputs["attn_mask"].shape[2] - chunk
        self._feeds = {name: np.zeros(spec.shape, spec.dtype) for name, spec in inputs.items()}
        self._feeds["required_cache_size"][0] = self._left
        self._window = self._feeds["x"][0]
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._filled = 0
        self._start_s = self._heard_s = 0.0
        self._final: Resumable[Hypothesis] | None = None
        self._endpoint.reset()
        self._begin()

    def accept(self, block: AudioBlock) -> None:
        """Process the frames of the next block."""
        frames, fell_silent = block.frames, self._endpoint.accept(block)
        if self._decoder.frames == 0:
            self._start_s = block.end_s - (self._filled + len(frames)) * FRAME_SHIFT_S
        self._heard_s = block.end_s
        before = self._decoder.frames
        self._push(frames)
        if self._second is not None:
            # A tick that decodes a chunk has no time for it; it catches up in the following ones.
            behind = self._shift if self._decoder.frames > before else 0
            self._second.search(
                2 * len(frames) // _LOG_MEL_PER_PHONE_FRAME, behind // _LOG_MEL_PER_PHONE_FRAME
            )
        if fell_silent:
            # Speech has ended: decode it without waiting for a full chunk.
            self.flush()
            if not self._decoder.tokens:
                self._begin()  # discard the padding, which has no stream time

    def partial(self) -> Hypothesis:
        """Return the first pass's words of the utterance so far."""
        return self._hypothesis(self._decoder.tokens, self._place, self._decoder.frames, False)

    def finalize(self, within_s: float) -> Hypothesis | None:
        """End the utterance and work on its final text: see `SpeechRecognizer`.

        Frames that are not decoded yet belong to the next utterance, so that no audio is lost.
        After `flush` there are none.
        """
        if self._final is None:
            texts: list[tuple[str, ...]] = []
            if self._rescoring is not None:
                beam, _ = self._rescoring
                texts = [words(text, self._symbols) for text in beam.texts]
            tokens, frames = list(self._decoder.tokens), self._decoder.frames
            self._final = Resumable(self._decide(self._second, texts, tokens, self._place, frames))
            self._start_s = self._place.time(frames)
            self._begin()
        found = self._final.advance(within_s)
        if found is not None:
            self._final = None
        return found

    def flush(self) -> None:
        """End the stream: decode the remaining frames, padded with silence."""
        if self._filled:
            missing = len(self._window) - self._filled
            silence = missing if missing >= _TAIL else missing + self._shift
            self._push(np.full((silence, self._window.shape[1]), FLOOR, np.float32))
        self._filled = 0

    def refine_partial(self, within_s: float) -> None:
        """Do nothing: there is no final pass."""

    def is_endpoint(self) -> bool:
        """Whether the utterance is over, see `Endpoint`."""
        tokens = self._decoder.tokens
        word_end_s = self._place.time(tokens[-1].last + 1) if tokens else None
        end_s = self._place.time(self._decoder.frames)
        return self._endpoint.reached(Decoded(self._start_s, end_s, word_end_s))

    def _begin(self) -> None:
        """Start a new utterance."""
        for name in ("attn_cache", "conv_cache", "attn_mask"):
            self._feeds[name].fill(0)
        self._feeds["attn_mask"][..., self._left :] = True
        self._feeds["offset"][0] = self._left
        self._decoder.reset()
        self._second = self._rescoring[1]() if self._rescoring else None

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
            self._second.accept(log_probabilities, feeds["attn_cache"])

    @property
    def _place(self) -> _UtteranceClock:
        return _UtteranceClock(self._start_s, self._encoder_frame_s, self._heard_s)

    def _decide(
        self,
        second: Rescoring | None,
        texts: Sequence[tuple[str, ...]],
        tokens: Sequence[Token],
        place: _UtteranceClock,
        frames: int,
    ) -> Steps[Hypothesis]:
        if second is None:
            return self._hypothesis(tokens, place, frames, final=True)
        tokens = yield from second.decide(texts)
        found = self._hypothesis(tokens, place, frames, final=True)
        return replace(found, alternatives=second.alternatives)

    def _hypothesis(
        self, tokens: Sequence[Token], place: _UtteranceClock, frames: int, final: bool
    ) -> Hypothesis:
        found = tuple(self._words(tokens, place))
        return Hypothesis(
            text=" ".join(word.text for word in found),
            words=found,
            confidence=float(np.mean([word.confidence for word in found])) if found else 0.0,
            end_s=place.time(frames),
            final=final,
        )

    def _words(self, tokens: Sequence[Token], place: _UtteranceClock) -> list[Word]:
        groups: list[list[Token]] = []
        for token in tokens:
            if not groups or self._symbols[token.symbol].startswith(WORD_START):
                groups.append([])
            groups[-1].append(token)
        found = [
            Word(
                text="".join(self._symbols[t.symbol] for t in group).replace(WORD_START, ""),
                start_s=place.time(group[0].first),
                end_s=place.time(group[-1].last + 1),
                confidence=float(np.mean([t.confidence for t in group])),
            )
            for group in groups
        ]
        return [word for word in found if word.text]


def _search(role: Role, settings: RecognitionSettings) -> str:
    """Return the search in the settings, or by default the best that the bundle supports.

    Hot words need the search over units: names are rarely in the lexicon.
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
    from mera_edge.asr.decoding.prefix_beam import PrefixBeam

    model = _language_model(role, symbols) if "language_model" in role.entry.files else None
    hot_words = [bpe_encode(word, symbols) for word in settings.hot_words]
    return PrefixBeam(settings.beam, model, hot_words, settings.hot_words_boost)


def _second_pass(role: Role, symbols: list[str]) -> Callable[[], Rescoring]:
    from mera_edge.asr.decoding.hypothesis_scorer import RescoringModels
    from mera_edge.asr.decoding.lexicon import Lexicon
    from mera_edge.asr.decoding.rescoring import Rescoring

    if WORD_START not in symbols:
        raise BundleError("not every word can be written with the recognizer's units", "use beam")
    lexicon = role.read("words", Lexicon)
    blocks, heads, frames, width = role.engine().inputs["attn_cache"].shape
    joined, rest = divmod(lexicon.inputs, heads * width)
    if not (0 <= lexicon.block < blocks and rest == 0 and 0 < joined <= frames):
        raise BundleError("the lexicon was made for a different network", "export again")
    return partial(Rescoring, RescoringModels(lexicon, _language_model(role, symbols), symbols))


def _language_model(role: Role, symbols: list[str]) -> LanguageModel:
    from mera_edge.asr.decoding.ngram_lm import LanguageModel

    def read(path: Path) -> LanguageModel:
        return LanguageModel(path, len(symbols))

    return role.read("language_model", read)
