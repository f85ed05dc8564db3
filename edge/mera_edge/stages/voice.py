"""How the voice sounds: the bundle's encoder, and what a published one has to do in its place."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.engine.stream import StreamModel
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import BINS, FRAME_SHIFT_S, SPEC
from mera_edge.labels import project
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
        engine = role.stage_engine()
        self._chunk = engine.inputs["frames"].shape[1]
        self._model = StreamModel(engine)
        self._waiting = np.empty((0, BINS), np.float32)

    def reset(self) -> None:
        """Forget what was heard: the next frame is the first of an utterance."""
        self._model.reset()
        self._waiting = self._waiting[:0]

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
        waiting = np.concatenate([self._waiting, frames])
        complete = len(waiting) // self._chunk * self._chunk
        self._waiting = waiting[complete:]
        answer = None
        for start in range(0, complete, self._chunk):
            answer = self._model.step({"frames": waiting[None, start : start + self._chunk]})
        if answer is None:
            return None
        return Evidence(
            modality="voice",
            captured_s=end_s - len(self._waiting) * FRAME_SHIFT_S,
            probabilities=project(answer["probabilities"][0], self._labels),
            valence=float(answer["valence"][0, 0]),
            embedding=answer["embedding"][0],
        )


def voice_encoder(bundle: Bundle) -> VoiceEncoder:
    """Return the bundle's encoder, or the pulled one in its place.

    Raises:
        BundleError: the bundle has none, or one for other features than ours.
        InputError: the pulled one is not here, or no voice encoder.
        EngineError: it cannot be loaded.
    """
    return chosen("voice", bundle, VoiceStage)
