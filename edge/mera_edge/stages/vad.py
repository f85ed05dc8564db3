"""Voice activity detection."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.engine.stream import FrameModel
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import FRAME_SHIFT_S, SPEC
from mera_edge.stages.adapters import chosen

SURE, UNSURE = 0.5, 0.25
"""Thresholds of the probability of speech, for its onset and for its end (hysteresis)."""

ONSET_S, HANGOVER_S = 0.08, 0.6
"""How long the probability must be above the first threshold for speech to begin, and below the
second for it to end: pauses between words are part of an utterance."""

_LEAD_FRAMES = 20
"""Frames before the detected onset that `VoiceActivity.span` includes."""


class SpeechDetector(Protocol):
    """Distinguishes speech from other sound."""

    def accept_block(self, block: AudioBlock) -> bool:
        """Process the next block and return whether there is speech at its end."""

    @property
    def pause_s(self) -> float:
        """Seconds for which the probability has been below the lower threshold."""

    def reset(self) -> None:
        """Start a new stream."""


class Gate:
    """Turns probabilities of speech into a decision, with hysteresis.

    Args:
        every_s: interval between probabilities, in seconds.
    """

    def __init__(self, every_s: float) -> None:
        self._onset, self._hangover = round(ONSET_S / every_s), round(HANGOVER_S / every_s)
        self._every_s = every_s
        self.reset()

    def reset(self) -> None:
        """Start a new stream, in silence."""
        self._likely = self._unlikely = 0
        self.speaking = False

    @property
    def pause_s(self) -> float:
        """See `SpeechDetector`."""
        return self._unlikely * self._every_s

    def decide(self, probability: float) -> None:
        """Update ``speaking`` with the next probability."""
        self._likely = self._likely + 1 if probability >= SURE else 0
        self._unlikely = self._unlikely + 1 if probability < UNSURE else 0
        if self.speaking:
            self.speaking = self._unlikely < self._hangover
        else:
            self.speaking = self._likely >= self._onset


class VoiceActivity:
    """The bundle's speech detector.

    The decisions do not depend on how the audio is split into blocks.

    Raises:
        BundleError: the bundle has no speech detector, or one that expects different features.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("vad")
        role.require_features(SPEC)
        self._model = FrameModel(role.stage_engine())
        self._gate = Gate(self._model.chunk * FRAME_SHIFT_S)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._model.reset()
        self._gate.reset()

    @property
    def speaking(self) -> bool:
        """Whether there is speech at the end of the audio so far."""
        return self._gate.speaking

    @property
    def pause_s(self) -> float:
        """See `SpeechDetector`."""
        return self._gate.pause_s

    def accept_block(self, block: AudioBlock) -> bool:
        """Process the frames of ``block``; see `accept`."""
        return self.accept(block.frames)

    def accept(self, frames: NDArray[np.float32]) -> bool:
        """Process frames and return whether there is speech at their end.

        Args:
            frames: ``[n, 80]`` log-mel, any number of them.
        """
        for outputs in self._model.accept(frames):
            self._gate.decide(float(outputs["speech"][0, 0]))
        return self.speaking

    def span(self, frames: NDArray[np.float32]) -> tuple[int, int] | None:
        """Return the first frame of speech in a recording and the one after the last.

        The stream so far is discarded.

        Args:
            frames: ``[n, 80]`` log-mel.

        Returns:
            ``None`` if there is no speech.
        """
        self.reset()
        chunk = self._model.chunk
        starts = range(0, len(frames), chunk)
        active = [s for s in starts if self.accept(frames[s : s + chunk])]
        self.reset()
        if not active:
            return None
        # Speech begins before its onset is detected.
        return max(0, active[0] - _LEAD_FRAMES), min(len(frames), active[-1] + chunk)


def speech_detector(bundle: Bundle) -> SpeechDetector:
    """Return the bundle's detector, or the downloaded model that replaces it.

    Raises:
        BundleError: the bundle has no speech detector, or one that expects different features.
        InputError: the model has not been downloaded, or is not a speech detector.
        EngineError: it cannot be loaded.
    """
    return chosen("vad", bundle, VoiceActivity)
