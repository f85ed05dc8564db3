"""Emotion recognition in text: the bundle's encoder, and the protocol that others implement."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mera_edge.bundle import Bundle
from mera_edge.evidence import Evidence
from mera_edge.features.text import SPEC, normalise
from mera_edge.features.tokens import Tokenizer
from mera_edge.stages.adapters import chosen


class SentenceEncoder(Protocol):
    """Classifies sentences."""

    def accept(self, text: str, captured_s: float) -> Evidence | None:
        """See `TextStage.accept`. The embedding of a downloaded model is empty."""


class TextStage:
    """The bundle's text encoder.

    Raises:
        BundleError: the bundle has no text encoder, or one that expects different features.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("text")
        role.require_features(SPEC)
        self._labels = role.entry.labels
        self._engine = role.stage_engine()
        self._tokenizer = role.read("tokenizer", Tokenizer.read)
        self._length = self._engine.inputs["tokens"].shape[1]

    def accept(self, text: str, captured_s: float) -> Evidence | None:
        """Classify a text in English or Chinese, of any length.

        Args:
            text: any text; a long one is truncated to its last tokens.
            captured_s: stream time of its last word, in seconds.

        Returns:
            ``None`` if the normalised text is empty.
        """
        ids = self._tokenizer.encode(normalise(text))[-self._length :]
        if not ids:
            return None
        tokens = np.zeros((1, self._length), np.int64)
        tokens[0, : len(ids)] = ids
        outputs = self._engine.run({"tokens": tokens})
        return Evidence.of_outputs("text", captured_s, outputs, self._labels)


def sentence_encoder(bundle: Bundle) -> SentenceEncoder:
    """Return the bundle's encoder, or the downloaded model that replaces it.

    Raises:
        BundleError: the bundle has no text encoder, or one that expects different features.
        InputError: the model has not been downloaded, or is not a text encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("text", bundle, TextStage)
