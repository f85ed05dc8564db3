"""What the words say: the bundle's encoder, and what a published one has to do in its place."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mera_edge.bundle import Bundle
from mera_edge.evidence import Evidence
from mera_edge.features.text import SPEC, normalise
from mera_edge.features.tokens import Tokenizer
from mera_edge.stages.adapters import chosen


class SentenceEncoder(Protocol):
    """Reads sentences."""

    def accept(self, text: str, captured_s: float) -> Evidence | None:
        """Read one as `TextStage` does. A published one's embedding is empty."""


class TextStage:
    """From a sentence to evidence.

    Raises:
        BundleError: the bundle has no text encoder, or one for other features than ours.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("text")
        role.require_features(SPEC)
        self._labels = role.entry.labels
        self._engine = role.stage_engine()
        self._tokenizer = role.read("tokenizer", Tokenizer.read)
        self._length = self._engine.inputs["tokens"].shape[1]

    def accept(self, text: str, captured_s: float) -> Evidence | None:
        """Read a sentence in English or Chinese, of any length.

        Args:
            text: anything; of a long text the last words count.
            captured_s: stream time, in seconds, of its newest word.

        Returns:
            ``None`` when nothing is left of the text after normalising.
        """
        ids = self._tokenizer.encode(normalise(text))[-self._length :]
        if not ids:
            return None
        tokens = np.zeros((1, self._length), np.int64)
        tokens[0, : len(ids)] = ids
        outputs = self._engine.run({"tokens": tokens})
        return Evidence.of_outputs("text", captured_s, outputs, self._labels)


def sentence_encoder(bundle: Bundle) -> SentenceEncoder:
    """Return the bundle's encoder, or the pulled one in its place.

    Raises:
        BundleError: the bundle has none, or one for other features than ours.
        InputError: the pulled one is not here, or no text encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("text", bundle, TextStage)
