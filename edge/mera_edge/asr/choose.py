"""Which recognizer listens: the bundle's, or a published model."""

from __future__ import annotations

from pathlib import Path

from mera_edge.asr.protocol import SpeechRecognizer
from mera_edge.asr.recognizer import Recognizer
from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import catalogue, pulled
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import ConfigError, InputError


def choose(bundle: Bundle, settings: RecognitionSettings = RECOGNITION) -> SpeechRecognizer:
    """Open the recognizer that the settings name.

    Raises:
        MeraError: it cannot be opened.
    """
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
