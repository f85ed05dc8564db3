"""Which recognizer listens: the bundle's, or a published model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.recognizer import Hypothesis, Recognizer
from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import catalogue, pulled
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import ConfigError, InputError


class SpeechRecognizer(Protocol):
    """Recognizes one stream of speech."""

    @property
    def hypothesis(self) -> Hypothesis:
        """What has been said since the last reset."""

    def accept(
        self, frames: NDArray[np.float32], end_s: float, samples: NDArray[np.float32]
    ) -> None:
        """Take the next log-mel frames ``[n, 80]``, or the samples they are of, up to ``end_s``."""

    def flush(self) -> None:
        """End the stream: decode what is left."""

    def is_endpoint(self) -> bool:
        """Whether the utterance is over."""

    def reset(self) -> None:
        """Begin the next utterance."""


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
