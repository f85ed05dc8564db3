"""Silero VAD, version 5 and later (Silero Team, 2024)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mera_edge.bundle.catalogue import Published
from mera_edge.engine.onnx import open_session
from mera_edge.errors import EngineError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.stages.vad import Gate

_WINDOW, _CONTEXT = 512, 64
"""Samples per step, and samples of the previous step that are prepended as context."""


def open_model(directory: Path, model: Published) -> Silero:
    """Open the only file of ``model``."""
    return Silero(directory / next(iter(model.files)))


class Silero:
    """Distinguishes speech from other sound, every 32 ms.

    Raises:
        EngineError: the file cannot be loaded, or is a different model.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        names = {node.name for node in self._session.get_inputs()}
        if names != {"input", "state", "sr"}:
            raise EngineError(f"{path.name} expects {sorted(names)}, not input, sr and state")
        self._gate = Gate(_WINDOW / SAMPLE_RATE)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._gate.reset()
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._waiting = np.zeros(0, np.float32)

    @property
    def pause_s(self) -> float:
        """See `SpeechDetector`."""
        return self._gate.pause_s

    def accept_block(self, block: AudioBlock) -> bool:
        """Process the samples and return whether there is speech at their end."""
        waiting = np.concatenate([self._waiting, block.samples])
        complete = len(waiting) // _WINDOW * _WINDOW
        self._waiting = waiting[complete:]
        for window in waiting[:complete].reshape(-1, _WINDOW):
            heard = np.concatenate([self._context, window])[None]
            feeds = {"input": heard, "state": self._state, "sr": np.array(SAMPLE_RATE)}
            probability, self._state = self._session.run(None, feeds)
            self._context = window[-_CONTEXT:]
            self._gate.decide(float(probability[0, 0]))
        return self._gate.speaking
