"""Silero VAD (MIT) as the teacher: probability of speech per frame."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE

WINDOW, CONTEXT = 512, 64
"""Samples per window, and samples of left context."""

_STATE = (1, 1, 128)


def silero() -> Path:
    """Return the path of the model for batched windows in the package silero-vad.

    Raises:
        InputError: the package is not installed.
    """
    # The package itself is not imported: it would load torchaudio.
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise InputError(
            "the teacher, Silero VAD, is not installed",
            "pip install --no-deps silero-vad==6.2.3",
        )
    return Path(spec.origin).parent / "data" / "silero_vad_16k_sequence.onnx"


def speech(samples: NDArray[np.float32], model: Path, frames: int) -> NDArray[np.float32]:
    """Return the teacher's probability of speech in each frame of 10 ms, ``[frames]``."""
    count = -(-len(samples) // WINDOW)
    padded = np.zeros(CONTEXT + count * WINDOW, np.float32)
    padded[CONTEXT : CONTEXT + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + WINDOW)[::WINDOW]
    feeds = {"input": windows, "h": np.zeros(_STATE, np.float32), "c": np.zeros(_STATE, np.float32)}
    answers = _session(model).run(["speech_probs"], feeds)[0].reshape(-1)
    middles = (np.arange(frames) * SAMPLE_RATE // 100 + SAMPLE_RATE // 200) // WINDOW
    return np.asarray(answers[np.minimum(middles, count - 1)], np.float32)


@lru_cache
def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
