"""Opens the recognizers that the settings select: the bundle's or downloaded models."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mera_edge.asr.protocol import SpeechRecognizer
from mera_edge.asr.recognizer import Recognizer
from mera_edge.asr.utterance import UtteranceRecognizer
from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import catalogue, downloaded, published, pulled
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import ConfigError

BUNDLED_LANGUAGES = ("en",)
"""Languages that the bundle's recognizer is assumed to support."""


def open_recognizer(
    bundle: Bundle, settings: RecognitionSettings = RECOGNITION
) -> SpeechRecognizer:
    """Open the streaming recognizer and, if configured, the final pass.

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
        raise ConfigError(f"unknown recognizer {settings.model!r}", "give sherpa:DIR, or nothing")
    path = downloaded(directory) if directory in catalogue() else Path(directory)
    from mera_edge.asr.sherpa import SherpaRecognizer

    return SherpaRecognizer(path, settings)


def _final(settings: RecognitionSettings) -> UtteranceRecognizer | None:
    if settings.final == "none":
        return None
    languages = _languages(settings)
    if settings.final == "auto":
        if not languages:
            return None
        for name, model in catalogue().items():
            if model.role == "asr_final" and set(languages) <= set(model.languages):
                path = pulled(name)
                if path is not None:
                    return _utterances(model.kind, path, languages, settings)
        return None
    kind, _, directory = settings.final.partition(":")
    if kind == "sherpa" and directory:
        return _utterances(kind, Path(directory), languages, settings)
    chosen = published(settings.final)
    if chosen.role != "asr_final":
        raise ConfigError(
            f"{settings.final} is not a model for whole utterances", "see models list"
        )
    path = downloaded(settings.final)
    if languages and not set(languages) & set(chosen.languages):
        raise ConfigError(
            f"{settings.final} supports {', '.join(chosen.languages)}, but the streaming "
            f"recognizer {', '.join(languages)}",
            "choose two that share a language: see models list",
        )
    return _utterances(chosen.kind, path, languages, settings)


def _languages(settings: RecognitionSettings) -> tuple[str, ...]:
    """Return the languages of the streaming recognizer; empty if they are unknown."""
    if settings.model is None:
        return BUNDLED_LANGUAGES
    known = catalogue().get(settings.model.partition(":")[2])
    return () if known is None else known.languages


def _utterances(
    kind: str, path: Path, languages: tuple[str, ...], settings: RecognitionSettings
) -> UtteranceRecognizer:
    return _loaded(kind, path, languages, settings.hot_words, settings.hot_words_boost)


@cache
def _loaded(
    kind: str,
    path: Path,
    languages: tuple[str, ...],
    hot_words: tuple[str, ...],
    boost: float,
) -> UtteranceRecognizer:
    """Load a model once for all rooms: their final passes share one thread."""
    if kind == "moonshine":
        from mera_edge.asr.moonshine import Moonshine

        return Moonshine(path, hot_words, boost)
    from mera_edge.asr.sherpa_offline import SherpaUtterances

    if hot_words:
        raise ConfigError(
            f"{path} does not support hot words",
            'omit them, or disable the final pass: final = "none"',
        )
    return SherpaUtterances(path, languages)
