"""Sound of any rate, sample format and channels, brought to 16 kHz and one channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE

_RATES = range(2_000, 768_001)
"""Hertz. No speech is below; a second of 1 Hz would be 16,000 samples for each that is there."""

_MOST_CHANNELS = 64

_MEMORY_S = 2.0
"""Half-life of what is remembered of the channels."""
_SILENT, _FAINT_CENTRE = 1e-3, 1e-2
"""Of the loudest channel's power: a side that carries nothing, a centre without dialogue."""
_OPPOSED = -0.5
"""Correlation with the loudest channel below which a channel is taken to be inverted."""
_NO_SPEECH = ("LFE", "LFE2")


class Downmix:
    """Mixes channels so that speech is heard, at its level, wherever it is.

    The mean of what sounds: a silent side does not halve the other one, an inverted one does not
    cancel it, and where there is a centre (5.1), which is where dialogue is, it alone is taken.

    Args:
        names: of the channels, as FFmpeg calls them; what is unknown may be called anything.
    """

    def __init__(self, names: Sequence[str]) -> None:
        count = len(names)
        self._centre = names.index("FC") if "FC" in names and count > 1 else None
        speech = np.array([name not in _NO_SPEECH for name in names])
        self._speech = speech if speech.any() else ~speech
        self._power = np.zeros(count)
        self._shared = np.zeros(count)
        self._loudest = 0
        self._weights: NDArray[np.float32] | None = None

    def mix(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mix ``[channels, n]`` to ``[n]``."""
        mixed: NDArray[np.float32]
        if len(samples) == 1 or not samples.shape[1]:
            mixed = samples[0]
            return mixed
        before, self._weights = self._weights, self._weigh(samples)
        before = self._weights if before is None else before
        if np.array_equal(before, self._weights):
            if (self._weights == self._weights[0]).all() and self._weights[0] > 0:
                mixed = samples.mean(axis=0, dtype=np.float32)
            else:
                mixed = self._weights @ samples
            return mixed
        # Weights change over the piece, not at once: a step would be a click.
        rise = np.linspace(0, 1, samples.shape[1], dtype=np.float32)
        mixed = before @ samples * (1 - rise) + self._weights @ samples * rise
        return mixed

    def _weigh(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = samples.clip(-8, 8)
        power = np.einsum("cn,cn->c", heard, heard)
        if np.isnan(power).any():  # rare, and looking for NaN takes longer than all else
            heard = np.nan_to_num(heard)
            power = np.einsum("cn,cn->c", heard, heard)
        decay = 0.5 ** (samples.shape[1] / SAMPLE_RATE / _MEMORY_S)
        self._power = self._power * decay + power
        powers = np.where(self._speech, self._power, 0.0)
        loudest = int(powers.argmax())
        if not powers[loudest]:
            if self._weights is not None:
                return self._weights
            powers = self._speech.astype(float)  # of equal loudness, until there is any
        if loudest != self._loudest:
            self._loudest, self._shared = loudest, np.zeros(len(samples))
        self._shared = self._shared * decay + heard @ heard[loudest]
        if self._centre is not None and powers[self._centre] >= _FAINT_CENTRE * powers[loudest]:
            sounding = np.arange(len(samples)) == self._centre
        else:
            sounding = powers >= _SILENT * powers[loudest]
        opposed = self._shared < _OPPOSED * np.sqrt(self._power * self._power[loudest])
        weights: NDArray[np.float32] = np.where(opposed, -1, 1) * sounding / sounding.sum()
        return weights.astype(np.float32)


class Mono:
    """Brings frames of FFmpeg to `SAMPLE_RATE` and one channel, also where they change."""

    def __init__(self) -> None:
        self._kind: tuple[Any, ...] | None = None
        self._resampler: Any = None
        self._downmix = Downmix(["FC"])

    def accept(self, frame: Any) -> Iterator[NDArray[np.float32]]:
        """Give what is ready, ``[n]`` a piece.

        Raises:
            av.FFmpegError, ValueError: the frame cannot be used.
        """
        import av

        kind = (frame.sample_rate, frame.format.name, frame.layout)
        if kind != self._kind:
            yield from self.flush()
            if frame.sample_rate not in _RATES:
                raise ValueError(f"a sample rate of {frame.sample_rate} Hz")
            if not 0 < frame.layout.nb_channels <= _MOST_CHANNELS:
                raise ValueError(f"{frame.layout.nb_channels} channels")
            names = [channel.name for channel in frame.layout.channels]
            # FFmpeg's own mix makes two equal channels louder than one, and inverted ones silent.
            self._resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
            self._downmix = Downmix(names)
            self._kind = kind
        # The resampler keeps count of samples itself; a jump would make it start anew.
        frame.pts = None
        try:
            pieces = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            self._resampler = self._kind = None  # half made: there is nothing in it
            raise
        for piece in pieces:
            yield self._mixed(piece)

    def flush(self) -> Iterator[NDArray[np.float32]]:
        """Give what the resampler still holds; the next frame is the first of a new stream."""
        resampler, self._resampler, self._kind = self._resampler, None, None
        if resampler is not None:
            for piece in resampler.resample(None):
                yield self._mixed(piece)

    def _mixed(self, piece: Any) -> NDArray[np.float32]:
        channels = piece.to_ndarray().reshape(-1, piece.layout.nb_channels).T
        return self._downmix.mix(np.ascontiguousarray(channels))
