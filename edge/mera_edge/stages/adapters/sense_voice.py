"""SenseVoice (An et al., 2024) as a voice encoder: its emotion tag, which precedes the text.

``preprocess`` in the catalogue: ``language`` and ``text_norm``, inputs of the network; ``first``:
the id of the first emotion token. The other labels have the following ids, in order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mera_edge.bundle.catalogue import Published
from mera_edge.engine.onnx import open_session
from mera_edge.errors import EngineError
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.labels import expected_valence, project

_EVERY, _LONGEST, _SHORTEST = SAMPLE_RATE, 8 * SAMPLE_RATE, SAMPLE_RATE // 2
"""In samples: interval between two runs over an utterance, and the longest and shortest input."""
_STACK, _STEP = 7, 6
"""Log-mel frames stacked into one input frame, and the stride between input frames."""
_EMOTION = 1
"""Index of the output frame with the emotion token."""
_INPUTS = {"x", "x_length", "language", "text_norm"}


class Preprocess(BaseModel):
    """Model parameters; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: int
    text_norm: int
    first: int


def open_model(directory: Path, model: Published) -> SenseVoice:
    """Open the network among the files of ``model``."""
    file = next(name for name in model.files if name.endswith(".onnx"))
    return SenseVoice(directory / file, model.labels, Preprocess.model_validate(model.preprocess))


class SenseVoice:
    """Classifies the utterance so far, once per second.

    Raises:
        EngineError: the file cannot be loaded, or is a different model.
    """

    def __init__(self, path: Path, labels: tuple[str, ...], preprocess: Preprocess) -> None:
        self._labels, self._how = labels, preprocess
        self._session = open_session(path)
        names = {node.name for node in self._session.get_inputs()}
        facts = self._session.get_modelmeta().custom_metadata_map
        if names != _INPUTS or not {"neg_mean", "inv_stddev"} <= facts.keys():
            raise EngineError(
                f"{path.name} expects {sorted(names)}, or has no neg_mean, inv_stddev"
            )
        self._shift, self._scale = (
            np.array(facts[name].split(","), np.float32) for name in ("neg_mean", "inv_stddev")
        )
        self.reset()

    def reset(self) -> None:
        """Start a new utterance."""
        self._heard = np.zeros(0, np.float32)
        self._new = 0

    def accept_block(self, block: AudioBlock) -> Evidence | None:
        """Process the next block; return evidence once per second, otherwise ``None``."""
        self._heard = np.concatenate([self._heard, block.samples])[-_LONGEST:]
        self._new += len(block.samples)
        if self._new < _EVERY:
            return None
        self._new = 0
        seven = self.read(self._heard)
        if seven is None:
            return None
        valence = expected_valence(seven)
        return Evidence("voice", block.end_s, seven, valence, np.zeros(0, np.float32))

    def read(self, samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the probabilities ``[7]`` for samples ``[n]`` at 16 kHz; ``None`` if too short."""
        if len(samples) < _SHORTEST:
            return None
        log_mel = LogMel("hamming", snip_edges=True)
        frames = np.concatenate([log_mel.accept(samples), log_mel.flush()])
        count = (len(frames) - _STACK) // _STEP + 1
        stacked = np.stack([frames[_STEP * k : _STEP * k + _STACK].ravel() for k in range(count)])
        feeds = {
            "x": ((stacked + self._shift) * self._scale)[None],
            "x_length": np.array([count], np.int32),
            "language": np.array([self._how.language], np.int32),
            "text_norm": np.array([self._how.text_norm], np.int32),
        }
        (logits,) = self._session.run(None, feeds)
        first = self._how.first
        said = logits[0, _EMOTION, first : first + len(self._labels)].astype(np.float64)
        shares = np.exp(said - said.max())
        return project(shares / shares.sum(), self._labels)
