"""Which recognizers listen: the bundle's, or published ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mera_edge.asr.protocol import SpeechRecognizer
from mera_edge.asr.recognizer import Recognizer
from mera_edge.asr.utterance import UtteranceRecognizer
from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import catalogue, published, pulled
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import ConfigError, InputError


def open_recognizer(
    bundle: Bundle, settings: RecognitionSettings = RECOGNITION
) -> SpeechRecognizer:
    """Open the recognizers that the settings name: one that streams, and a final pass beside it.

    Raises:
        MeraError: one cannot be opened.
    """
    streaming, final = _streaming(bundle, settings), _final(settings)
    if final is None:
        return streaming
    from mera_edge.asr.two_pass import TwoPass

    return TwoPass(streaming, final)


def _streaming(bundle: Bundle, settings: RecognitionSettings) -> SpeechRecognizer:
    if settings.model is None:
        return Recognizer(bundle, settings)
    kind, _, directory = settings.model.partition(":")
    if kind != "sherpa" or not directory:
        raise ConfigError(f"no recognizer {settings.model!r}", "give sherpa:DIR, or nothing")
    path = pulled(directory) if directory in catalogue() else Path(directory)
    if path is None:
        raise InputError(f"{directory} is not here", f"run: mera-edge models pull {directory}")
    from mera_edge.asr.sherpa import SherpaRecognizer

    return SherpaRecognizer(path, settings)


def _final(settings: RecognitionSettings) -> UtteranceRecognizer | None:
    if settings.final == "none":
        return None
    if settings.final == "auto":
        # A published streaming model may know another language, and hot words only the first pass.
        if settings.model is not None or settings.hot_words:
            return None
        found = (pulled(name) for name, m in catalogue().items() if m.role == "asr_final")
        path = next((path for path in found if path is not None), None)
        return None if path is None else _moonshine(path)
    if published(settings.final).role != "asr_final":
        raise ConfigError(f"{settings.final} is no model for whole utterances", "see models list")
    path = pulled(settings.final)
    if path is None:
        raise InputError(
            f"{settings.final} is not here", f"run: mera-edge models pull {settings.final}"
        )
    return _moonshine(path)


@cache
def _moonshine(path: Path) -> UtteranceRecognizer:
    """Load a model once for all rooms: their final passes take turns in one thread."""
    from mera_edge.asr.moonshine import Moonshine

    return Moonshine(path)
