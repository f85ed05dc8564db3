"""Whether somebody speaks."""

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
"""Probabilities of speech: it begins above the first and goes on down to the second."""

ONSET_S, HANGOVER_S = 0.08, 0.6
"""How long it must be likely for speech to begin, and unlikely for it to end: pauses between words
are part of an utterance."""

_BEFORE = 20


class SpeechDetector(Protocol):
    """Tells speech from all other sound."""

    def accept_block(self, block: AudioBlock) -> bool:
        """Listen on, and return whether somebody speaks."""

    @property
    def pause_s(self) -> float:
        """For how long speech has been unlikely."""

    def reset(self) -> None:
        """Forget the stream."""


class Gate:
    """From probabilities of speech, one each so many seconds, to whether somebody speaks."""

    def __init__(self, every_s: float) -> None:
        self._onset, self._hangover = round(ONSET_S / every_s), round(HANGOVER_S / every_s)
        self._every_s = every_s
        self.reset()

    def reset(self) -> None:
        """Begin a new stream, in silence."""
        self._likely = self._unlikely = 0
        self.speaking = False

    @property
    def pause_s(self) -> float:
        """For how long speech has been unlikely."""
        return self._unlikely * self._every_s

    def decide(self, probability: float) -> None:
        """Take the next probability."""
        self._likely = self._likely + 1 if probability >= SURE else 0
        self._unlikely = self._unlikely + 1 if probability < UNSURE else 0
        if self.speaking:
            self.speaking = self._unlikely < self._hangover
        else:
            self.speaking = self._likely >= self._onset


class VoiceActivity:
    """Tells speech from all other sound, whatever its level.

    However the sound is cut into pieces, the decisions are the same.

    Raises:
        BundleError: the bundle has no speech detector, or one for other features than ours.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("vad")
        role.require_features(SPEC)
        self._model = FrameModel(role.stage_engine())
        self._gate = Gate(self._model.chunk * FRAME_SHIFT_S)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._model.reset()
        self._gate.reset()

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks."""
        return self._gate.speaking

    @property
    def pause_s(self) -> float:
        """See `SpeechDetector`."""
        return self._gate.pause_s

    def accept_block(self, block: AudioBlock) -> bool:
        """Do what `accept` does, with the frames of ``block``."""
        return self.accept(block.frames)

    def accept(self, frames: NDArray[np.float32]) -> bool:
        """Listen on, and return whether somebody speaks.

        Args:
            frames: ``[n, 80]`` log-mel, any number of them.
        """
        for outputs in self._model.accept(frames):
            self._gate.decide(float(outputs["speech"][0, 0]))
        return self.speaking

    def span(self, frames: NDArray[np.float32]) -> tuple[int, int] | None:
        """Return from which to which frame of a whole recording somebody speaks; ``None``: nowhere.

        Args:
            frames: ``[n, 80]`` log-mel. The stream so far is forgotten.
        """
        self.reset()
        chunk = self._model.chunk
        starts = range(0, len(frames), chunk)
        active = [s for s in starts if self.accept(frames[s : s + chunk])]
        self.reset()
        if not active:
            return None
        # It began before the detector was sure of it.
        return max(0, active[0] - _BEFORE), min(len(frames), active[-1] + chunk)


def speech_detector(bundle: Bundle) -> SpeechDetector:
    """Return the bundle's detector, or the pulled one in its place.

    Raises:
        BundleError: the bundle has none, or one for other features than ours.
        InputError: the pulled one is not here, or no speech detector.
        EngineError: it cannot be loaded.
    """
    return chosen("vad", bundle, VoiceActivity)
