"""The log-mel front end: computed once, shared by the recognizer and the voice encoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
BINS = 80
FRAME_SHIFT_S = 0.010
SPEC = {
    "kind": "log-mel",
    "sample_rate": SAMPLE_RATE,
    "bins": BINS,
    "frame_length_ms": 25,
    "frame_shift_ms": 10,
    "window": "povey",
    "low_hz": 20,
    "high_hz": SAMPLE_RATE // 2 - 400,
    "dither": 0.0,
    "snip_edges": False,
    "sample_range": "int16",
}
"""Recorded in a bundle: a model trained on different features is rejected."""

FLOOR = float(np.log(np.finfo(np.float32).eps))
"""Log-mel energy of digital silence; pads the last window of a stream."""

_INT16, _LOUDEST = 32768.0, 32.0


class LogMel:
    """Streaming log-mel energies (Kaldi's filter bank), 80 bins, 100 frames per second.

    The frames are bit-identical however the audio is split. The settings are those of sherpa-onnx,
    so that a recognizer trained on them also runs there.

    Args:
        window: name of one of Kaldi's window functions.
        snip_edges: whether the first frame begins with the first sample.
    """

    def __init__(
        self, window: str = str(SPEC["window"]), snip_edges: bool = bool(SPEC["snip_edges"])
    ) -> None:
        from kaldi_native_fbank import FbankOptions

        options = FbankOptions()
        options.frame_opts.samp_freq = SAMPLE_RATE
        options.frame_opts.frame_length_ms = SPEC["frame_length_ms"]
        options.frame_opts.frame_shift_ms = SPEC["frame_shift_ms"]
        options.frame_opts.window_type = window
        options.frame_opts.dither = SPEC["dither"]
        options.frame_opts.snip_edges = snip_edges
        options.mel_opts.num_bins = BINS
        options.mel_opts.low_freq = SPEC["low_hz"]
        options.mel_opts.high_freq = SPEC["high_hz"]
        self._options = options
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        from kaldi_native_fbank import OnlineFbank

        self._fbank = OnlineFbank(self._options)
        self._taken = 0

    def accept(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Process samples (mono, 16 kHz, in [-1, 1]) and return the new frames, ``[n, 80]``.

        NaN and infinity count as silence. Samples beyond 1, as in floating-point files, are clipped
        only at 30 dB above full scale.
        """
        heard = np.nan_to_num(samples, posinf=0, neginf=0).clip(-_LOUDEST, _LOUDEST)
        # The binding accepts a list three times as fast as an array.
        self._fbank.accept_waveform(SAMPLE_RATE, (heard * _INT16).tolist())
        return self._take()

    def flush(self) -> NDArray[np.float32]:
        """End the stream and return its last frames, ``[n, 80]``."""
        self._fbank.input_finished()
        return self._take()

    def _take(self) -> NDArray[np.float32]:
        ready = self._fbank.num_frames_ready
        frames = np.empty((ready - self._taken, BINS), np.float32)
        for row in range(len(frames)):
            frames[row] = self._fbank.get_frame(self._taken + row)
        # Otherwise the filter bank would keep all frames of the stream in memory.
        self._fbank.pop(len(frames))
        self._taken = ready
        return frames


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the frames ``[T, 80]`` of a whole recording (mono, 16 kHz, in [-1, 1])."""
    front_end = LogMel()
    return np.concatenate([front_end.accept(samples), front_end.flush()])
