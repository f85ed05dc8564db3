"""Emotion recognition in the voice: the bundle's encoder, and the protocol of others."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.engine.stream import FrameModel
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import FRAME_SHIFT_S, SPEC
from mera_edge.stages.adapters import chosen


class VoiceEncoder(Protocol):
    """Classifies the voice of an utterance."""

    def accept_block(self, block: AudioBlock) -> Evidence | None:
        """Process the next block and return new evidence, if any.

        The embedding of a downloaded model is empty.
        """

    def reset(self) -> None:
        """Start a new utterance."""


class VoiceStage:
    """The bundle's voice encoder: a streaming model whose state spans the utterance.

    Raises:
        BundleError: the bundle has no voice encoder, or one that expects different features.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("voice")
        role.require_features(SPEC)
        self._labels = role.entry.labels
        self._model = FrameModel(role.stage_engine())

    def reset(self) -> None:
        """Start a new utterance."""
        self._model.reset()

    def accept_block(self, block: AudioBlock) -> Evidence | None:
        """Process the frames of ``block``; see `accept`."""
        return self.accept(block.frames, block.end_s)

    def accept(self, frames: NDArray[np.float32], end_s: float) -> Evidence | None:
        """Process frames.

        Args:
            frames: ``[n, 80]`` log-mel, any number of them.
            end_s: stream time at the end of the last one, in seconds.

        Returns:
            The newest evidence, or ``None`` if the frames do not complete a chunk.
        """
        outputs = self._model.accept(frames)
        if not outputs:
            return None
        captured_s = end_s - self._model.pending * FRAME_SHIFT_S
        return Evidence.of_outputs("voice", captured_s, outputs[-1], self._labels)


def voice_encoder(bundle: Bundle) -> VoiceEncoder:
    """Return the bundle's encoder, or the downloaded model that replaces it.

    Raises:
        BundleError: the bundle has no voice encoder, or one that expects different features.
        InputError: the model has not been downloaded, or is not a voice encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("voice", bundle, VoiceStage)
