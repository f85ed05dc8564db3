"""How the voice sounds: the bundle's encoder, and what a published one has to do in its place."""

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
    """Hears an utterance."""

    def accept_block(self, block: AudioBlock) -> Evidence | None:
        """Listen on; return evidence if there is any new. A published one's embedding is empty."""

    def reset(self) -> None:
        """Forget what was heard: the next block is the first of an utterance."""


class VoiceStage:
    """From log-mel frames to evidence, a chunk at a time; the model remembers the utterance.

    Raises:
        BundleError: the bundle has no voice encoder, or one for other features than ours.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("voice")
        role.require_features(SPEC)
        self._labels = role.entry.labels
        self._model = FrameModel(role.stage_engine())

    def reset(self) -> None:
        """Forget what was heard: the next frame is the first of an utterance."""
        self._model.reset()

    def accept_block(self, block: AudioBlock) -> Evidence | None:
        """Do what `accept` does, with the frames of ``block``."""
        return self.accept(block.frames, block.end_s)

    def accept(self, frames: NDArray[np.float32], end_s: float) -> Evidence | None:
        """Listen on.

        Args:
            frames: ``[n, 80]`` log-mel, any number of them.
            end_s: stream time, in seconds, of the last of them.

        Returns:
            The newest evidence, or ``None`` while the frames do not complete a chunk.
        """
        outputs = self._model.accept(frames)
        if not outputs:
            return None
        captured_s = end_s - self._model.pending * FRAME_SHIFT_S
        return Evidence.of_outputs("voice", captured_s, outputs[-1], self._labels)


def voice_encoder(bundle: Bundle) -> VoiceEncoder:
    """Return the bundle's encoder, or the pulled one in its place.

    Raises:
        BundleError: the bundle has none, or one for other features than ours.
        InputError: the pulled one is not here, or no voice encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("voice", bundle, VoiceStage)
