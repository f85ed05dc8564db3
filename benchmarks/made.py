"""Synthetic clips with noise, flashes and beeps, and configurable irregularities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Stamp = Callable[[str, float], float]
"""From the kind of a packet and its time to what the file says of it, in seconds."""


_TICKS = 90_000


@dataclass(frozen=True)
class Pictures:
    """A picture track: gray noise that flashes white for a tenth of a second every second."""

    codec: str = "mpeg4"
    width: int = 160
    height: int = 120
    rate: int = 25
    pix_fmt: str = "yuv420p"
    shape: Fraction | None = None
    turned: int = 0
    gop: int = 10
    options: dict[str, str] = field(default_factory=dict)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return ``[H, W, 3]``."""
        if index / self.rate % 1 < 0.1 - 1e-9:
            return np.full((self.height, self.width, 3), 255, np.uint8)
        squares = np.random.default_rng(index % self.rate).integers(0, 120, (8, 8), np.uint8)
        rows = np.arange(self.height) * 8 // self.height
        columns = np.arange(self.width) * 8 // self.width
        return np.repeat(squares[rows][:, columns, None], 3, axis=2)


@dataclass(frozen=True)
class Sounds:
    """A sound track: a beep of a tenth of a second every second, in some of its channels."""

    codec: str = "aac"
    rate: int = 44_100
    layout: str = "mono"
    gains: Sequence[float] | None = None
    """By which a channel is the beep; 1 for all if unset."""
    is_default: bool = True
    language: str = ""

    def samples(self, seconds: float) -> NDArray[np.float32]:
        """Return ``[channels, n]``."""
        moments = np.arange(round(seconds * self.rate)) / self.rate
        beep = 0.5 * np.sin(2 * np.pi * 440 * moments) * (moments % 1 < 0.1)
        gains = self.gains or [1.0] * av.AudioLayout(self.layout).nb_channels
        return (np.array(gains)[:, None] * beep).astype(np.float32)


def write(
    path: Path,
    seconds: float = 2.0,
    pictures: Pictures | Sequence[Pictures] | None = Pictures(),
    sounds: Sounds | Sequence[Sounds] | None = Sounds(),
    stamp: Stamp = lambda kind, at_s: at_s,
    skip: Callable[[str, float], bool] = lambda kind, at_s: False,
    form: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip; flash and beep begin together with every second."""
    with av.open(str(path), "w", format=form, options=options or {}) as container:
        tracks = [_add_pictures(container, track) for track in _all(pictures)]
        tracks += [_add_sounds(container, track) for track in _all(sounds)]
        packets: list[Any] = []
        for track, stream in tracks:
            made = _frames(track, stream, seconds)
            packets += [packet for frame in [*made, None] for packet in stream.encode(frame)]
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            if skip(packet.stream.type, float((packet.dts or 0) * packet.time_base)):
                continue
            ticks = float(packet.time_base * _TICKS)
            for name in ("pts", "dts"):
                told = getattr(packet, name)
                if told is not None:
                    at_s = stamp(packet.stream.type, told * ticks / _TICKS)
                    setattr(packet, name, round(at_s * _TICKS))
            packet.duration = round((packet.duration or 0) * ticks)
            packet.time_base = Fraction(1, _TICKS)
            container.mux(packet)
    return path


def join(path: Path, *parts: Path) -> Path:
    """Concatenate files."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def later(seconds: float) -> Stamp:
    """Return stamps that begin at ``seconds``."""
    return lambda kind, at_s: at_s + seconds


def _all(tracks: Any) -> list[Any]:
    if tracks is None:
        return []
    return list(tracks) if isinstance(tracks, Sequence) else [tracks]


def _add_pictures(container: Any, track: Pictures) -> tuple[Pictures, Any]:
    stream = container.add_stream(track.codec, rate=track.rate, options=dict(track.options))
    stream.width, stream.height, stream.pix_fmt = track.width, track.height, track.pix_fmt
    stream.codec_context.gop_size = track.gop
    if track.shape is not None:
        stream.codec_context.sample_aspect_ratio = track.shape
    if track.turned:
        stream.set_display_rotation(track.turned)
    return track, stream


def _add_sounds(container: Any, track: Sounds) -> tuple[Sounds, Any]:
    from av.stream import Disposition

    stream = container.add_stream(track.codec, rate=track.rate, layout=track.layout)
    stream.disposition = Disposition.default if track.is_default else Disposition(0)
    if track.language:
        stream.metadata["language"] = track.language
    return track, stream


def _frames(track: Pictures | Sounds, stream: Any, seconds: float) -> Iterator[Any]:
    if isinstance(track, Pictures):
        for index in range(round(seconds * track.rate)):
            frame = av.VideoFrame.from_ndarray(track.image(index), "rgb24")
            frame = frame.reformat(format=track.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, track.rate)
            yield frame
        return
    samples = track.samples(seconds)
    kind = stream.codec_context.format.name
    resampler = av.AudioResampler(kind, track.layout, track.rate, stream.frame_size or 1024)
    for begins in range(0, samples.shape[1], 1024):
        piece = samples[:, begins : begins + 1024].T.reshape(1, -1)
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "flt", track.layout)
        block.sample_rate, block.pts = track.rate, begins
        block.time_base = Fraction(1, track.rate)
        yield from resampler.resample(block)
    yield from resampler.resample(None)
