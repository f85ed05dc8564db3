"""The sound and the pictures of a file, read only as far as asked for."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sources.base import AudioChunk, VideoFrame, seconds
from mera_edge.sources.mono import Mono
from mera_edge.sources.packets import LARGEST_GAP_S, Frames, StreamTimeline

_ROUNDING_S = 0.001
_LARGEST_SLIP_S = 0.03
"""Sound that is off by less stays where it is: rounding and jitter are no gaps."""
_AGREEING = 4
"""Frames that must say the same before sound is moved: one may be wrong."""
_CONVERTED_PIXELS = 3840 * 2160
"""Larger pictures are made smaller as they are converted."""
_LARGEST_STRETCH = 4.0
"""Of a pixel. More is a mistake in the header."""


class AudioTrack:
    """A sound track as one unbroken sequence of samples from stream time 0."""

    def __init__(self, timeline: StreamTimeline, index: int) -> None:
        self.timeline = timeline
        self.frames = Frames(timeline, index)
        self._pieces = self._decode()
        self._waiting = next(self._pieces, np.empty(0, np.float32))
        self._returned = 0
        self._finished = False
        self.is_empty = not len(self._waiting)
        """Whether there is not a single sample."""

    @property
    def ended(self) -> bool:
        """Whether everything has been read."""
        return self._finished and not len(self._waiting)

    @property
    def until_s(self) -> float:
        """Stream time up to which it was returned."""
        return self._returned / SAMPLE_RATE

    def read(self, until_s: float) -> AudioChunk:
        """Return the samples between the last call and ``until_s``."""
        wanted = math.inf if math.isinf(until_s) else round(until_s * SAMPLE_RATE)
        parts, count = [self._waiting], self._returned + len(self._waiting)
        while count < wanted and not self._finished:
            piece = next(self._pieces, None)
            if piece is None:
                self._finished = True
            else:
                parts.append(piece)
                count += len(piece)
        samples = np.concatenate(parts)
        taken = int(min(len(samples), max(0, wanted - self._returned)))
        sound = AudioChunk(samples[:taken], self._returned / SAMPLE_RATE)
        self._waiting = samples[taken:]
        self._returned += taken
        return sound

    def _decode(self) -> Iterator[NDArray[np.float32]]:
        """Give samples; a gap becomes silence, what overlaps is left out."""
        import av

        mono, made, surplus = Mono(), 0, 0
        told = not self.timeline.is_counted
        for frame, following in _with_following(self.frames):
            due_s = self.timeline.begins_s + (made - surplus) / SAMPLE_RATE
            slip = round(_slip_s(frame, following, due_s) * SAMPLE_RATE) if told else 0
            try:
                pieces = list(mono.accept(frame))
            except (av.FFmpegError, ValueError, ArithmeticError) as error:
                self.frames.refuse(error)
                continue
            missing, surplus = max(0, slip - surplus), max(0, surplus - slip)
            for piece in itertools.chain(_silence(missing), pieces):
                left_out = min(surplus, len(piece))
                surplus -= left_out
                if left_out < len(piece):
                    made += len(piece) - left_out
                    yield piece[left_out:]
        for piece in mono.flush():
            yield piece[surplus:]


def _with_following(frames: Frames) -> Iterator[tuple[Any, list[Any]]]:
    ahead: deque[Any] = deque()
    for frame in frames:
        ahead.append(frame)
        if len(ahead) > _AGREEING:
            yield ahead.popleft(), list(ahead)
    while ahead:
        yield ahead.popleft(), list(ahead)


def _slip_s(frame: Any, following: list[Any], due_s: float) -> float:
    """Return by how much a frame is later than ``due_s``, 0 where the next ones disagree."""
    if frame.time is None:
        return 0.0
    slip_s = frame.time - due_s
    if abs(slip_s) <= _LARGEST_SLIP_S:
        return 0.0
    later = []
    for previous, other in zip([frame, *following], following, strict=False):
        due_s += previous.samples / max(1, previous.sample_rate)
        if other.time is not None:
            later.append(other.time - due_s)
    agreed = not later or abs(float(np.median(later)) - slip_s) <= _LARGEST_SLIP_S
    return min(slip_s, LARGEST_GAP_S) if agreed else 0.0


def _silence(count: int) -> Iterator[NDArray[np.float32]]:
    for begins in range(0, count, SAMPLE_RATE):
        yield np.zeros(min(SAMPLE_RATE, count - begins), np.float32)


class VideoTrack:
    """A picture track, of which only what is looked at is converted."""

    def __init__(self, timeline: StreamTimeline, index: int) -> None:
        from av.video.reformatter import VideoReformatter

        self.timeline = timeline
        self._stream = stream = timeline.container.streams[index]
        self._shape = stream.sample_aspect_ratio
        self._shape_is_coded = self._shape == stream.codec_context.sample_aspect_ratio
        # Waking others for a part of a picture costs more than it brings next to other work.
        stream.codec_context.thread_count = 1
        self.frames = Frames(timeline, index, self._spare)
        self._until_s, self._spares = -math.inf, False
        # Kept: a new one for every picture starts threads, which takes 20 times as long.
        self._converter: Any = VideoReformatter()
        self._period_s = _period_s(stream)
        self._timed = self._in_order()
        self._newest: tuple[Any, float] | None = None
        self._next = next(self._timed, None)
        self.is_empty = self._next is None
        """Whether not a single picture could be decoded."""
        self.until_s = 0.0
        """Stream time at which the newest picture that was reached ends."""

    @property
    def ended(self) -> bool:
        """Whether everything has been read."""
        return self._next is None

    def read(self, until_s: float, needs_frame: bool) -> VideoFrame | None:
        """Return the newest picture captured up to ``until_s``, if it was not returned before.

        Args:
            needs_frame: whether it is of use; else it stays for a later call.
        """
        import av

        self._until_s = until_s
        while self._next is not None and self._next[1] <= until_s:
            self._newest = self._next
            self.until_s = self._next[1] + self._period_s
            self._next = next(self._timed, None)
        if self._newest is None or not needs_frame:
            return None
        (newest, at_s), self._newest = self._newest, None
        try:
            return VideoFrame(self._convert(newest), at_s)
        except (av.FFmpegError, ValueError, ArithmeticError) as error:
            self.frames.refuse(error)
            return None

    def _convert(self, frame: Any) -> NDArray[np.uint8]:
        if self._shape_is_coded:  # else the container knows better; it may change with the picture
            self._shape = self._stream.codec_context.sample_aspect_ratio
        width, height = _shown_size(frame, self._shape)
        image: NDArray[np.uint8]
        image = self._converter.reformat(frame, width, height, format="bgr24").to_ndarray()
        if frame.rotation:
            image = np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
        return image

    def _spare(self, packet: Any) -> None:
        """Have the decoder leave out what no other picture builds on and a newer one replaces."""
        replaced = False
        if packet.pts is not None and packet.duration:
            until_s = seconds(packet.pts + packet.duration, packet.time_base)
            replaced = until_s - self.timeline.begins_s <= self._until_s - _ROUNDING_S
        if replaced != self._spares:
            self._spares = replaced
            self._stream.codec_context.skip_frame = "NONREF" if replaced else "DEFAULT"

    def _in_order(self) -> Iterator[tuple[Any, float]]:
        """Give pictures with their time, which never goes back."""
        at_s = -self._period_s
        waiting = None
        for following in self.frames:
            if waiting is not None:
                at_s = self._at_s(waiting, following, at_s)
                yield waiting, at_s
            waiting = following
        if waiting is not None:
            yield waiting, self._at_s(waiting, waiting, at_s)

    def _at_s(self, frame: Any, following: Any, before_s: float) -> float:
        if frame.time is None:
            return before_s + self._period_s
        told_s: float = frame.time - self.timeline.begins_s
        if following.time is not None:
            next_s = following.time - self.timeline.begins_s
            if before_s <= next_s < told_s:  # this stamp alone is wrong
                told_s = min(next_s, before_s + self._period_s)
        return max(told_s, before_s)


def _period_s(stream: Any) -> float:
    rate = float(stream.average_rate or 25)
    return 1 / rate if rate > 1 / LARGEST_GAP_S else LARGEST_GAP_S


def _shown_size(frame: Any, pixel_shape: Any) -> tuple[int, int]:
    """Return width and height as a player shows them, within `_CONVERTED_PIXELS`."""
    stretch = float(pixel_shape or 1)
    if not 1 / _LARGEST_STRETCH <= stretch <= _LARGEST_STRETCH:
        stretch = 1.0
    width, height = frame.width * stretch, frame.height
    shrink = min(1.0, math.sqrt(_CONVERTED_PIXELS / (width * height)))
    return max(1, round(width * shrink)), max(1, round(height * shrink))
