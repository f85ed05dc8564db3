"""A media file: sound and picture with their timestamps, read only as far as asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sources.base import LIVE, Captured, Picture, Sound

_REMEDY = "give a video or a recording that a media player plays to its end"
_ROUNDING_S = 0.001
_LARGEST_SLIP_S = 0.05
"""Timestamps that differ from the count of samples by less are rounding, not gaps."""


class MediaFile:
    """A file with sound, picture or both; stream time 0 is where its first stream begins.

    Sound and picture are read through two handles, so that neither waits for the other and memory
    stays flat however the file interleaves them.

    Args:
        path: anything that FFmpeg reads.
        sound, picture: whether to use them, where the file has them.
    """

    is_live = False
    id = "file"
    condition = LIVE

    def __init__(self, path: Path, sound: bool = True, picture: bool = True) -> None:
        self.name = str(path)
        self._path = path
        self._wanted = (sound, picture)
        self._sound: _SoundTrack | None = None
        self._pictures: _PictureTrack | None = None
        self.length_s: float | None = None
        """What the file says of its length; known once open. A truncated file has less."""

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track that is used; known once open."""
        return self._sound is not None

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture track that is used; known once open."""
        return self._pictures is not None

    def open(self) -> None:
        """Open the file.

        Raises:
            InputError: no such file, nothing that can be decoded, or neither sound nor picture.
        """
        import av

        self.close()
        if not self._path.is_file():
            raise InputError(f"{self._path} is not a file", _REMEDY)
        try:
            with av.open(str(self._path)) as container:
                begins_s = (container.start_time or 0) / av.time_base
                self.length_s = container.duration and container.duration / av.time_base
                has_sound = bool(container.streams.audio)
                has_picture = any(not _is_cover(stream) for stream in container.streams.video)
            if not (has_sound or has_picture):
                raise InputError(f"{self._path} has neither sound nor picture", _REMEDY)
            sound, picture = self._wanted
            if has_sound and sound:
                self._sound = _SoundTrack(self._path, begins_s)
            if has_picture and picture:
                self._pictures = _PictureTrack(self._path, begins_s)
        except (av.FFmpegError, OSError) as error:
            self.close()
            raise InputError(f"{self._path} cannot be decoded ({error})", _REMEDY) from error

    def poll(self, until_s: float, look: bool = True) -> Captured:
        """Return sound and, if it is looked at, the newest picture up to ``until_s``."""
        captured = Captured()
        if self._sound is not None:
            piece = self._sound.read(until_s)
            if len(piece.samples):
                captured.sounds.append(piece)
        if self._pictures is not None:
            captured.picture = self._pictures.read(until_s, look)
        return captured

    @property
    def ended(self) -> bool:
        """Whether everything has been returned."""
        return all(track is None or track.ended for track in (self._sound, self._pictures))

    def close(self) -> None:
        """Close the file. What `has_sound` and `has_picture` said is forgotten."""
        for track in (self._sound, self._pictures):
            if track is not None:
                track.container.close()
        self._sound = self._pictures = None


def _is_cover(stream: Any) -> bool:
    """Whether a video stream is only the picture on a record's sleeve."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


class _SoundTrack:
    """The first sound track as one unbroken sequence of samples from stream time 0."""

    def __init__(self, path: Path, begins_s: float) -> None:
        import av

        self.container = av.open(str(path))
        self._begins_s = begins_s
        self._pieces = self._decode()
        self._waiting = np.empty(0, np.float32)
        self._returned = 0
        self._finished = False

    @property
    def ended(self) -> bool:
        return self._finished and not len(self._waiting)

    def read(self, until_s: float) -> Sound:
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
        sound = Sound(samples[:taken], self._returned / SAMPLE_RATE)
        self._waiting = samples[taken:]
        self._returned += taken
        return sound

    def _decode(self) -> Iterator[NDArray[np.float32]]:
        import av

        # Channels are averaged here: FFmpeg's own mix makes two equal ones louder than one.
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        made = 0
        for frame in _frames(self.container, self.container.streams.audio[0]):
            if frame.time is not None:
                missing_s = frame.time - self._begins_s - made / SAMPLE_RATE
                if missing_s > _LARGEST_SLIP_S:
                    silence = np.zeros(round(missing_s * SAMPLE_RATE), np.float32)
                    made += len(silence)
                    yield silence
            # The resampler keeps count of samples itself; a jump would make it start anew.
            frame.pts = None
            for piece in resampler.resample(frame):
                made += piece.samples
                yield piece.to_ndarray().mean(axis=0)
        for piece in resampler.resample(None):
            yield piece.to_ndarray().mean(axis=0)


class _PictureTrack:
    """The first picture track, of which only what is looked at is converted."""

    def __init__(self, path: Path, begins_s: float) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.container = av.open(str(path))
        self._stream = next(s for s in self.container.streams.video if not _is_cover(s))
        # Waking others for a part of a picture costs more than it brings next to other work.
        self._stream.codec_context.thread_count = 1
        self._begins_s = begins_s
        self._until_s = -math.inf
        self._frames = _frames(self.container, self._stream, self._spare)
        # Kept: a new one for every picture starts threads, which takes 20 times as long.
        self._converter: Any = VideoReformatter()
        self._period_s = 1 / float(self._stream.average_rate or 25)
        self._at_s = -self._period_s
        self._newest: tuple[Any, float] | None = None
        self._next: Any = None
        self._advance()

    @property
    def ended(self) -> bool:
        return self._next is None

    def read(self, until_s: float, look: bool) -> Picture | None:
        """Return the newest picture captured up to ``until_s``, if it was not returned before.

        Args:
            look: whether it is of use; else it stays for a later call.
        """
        self._until_s = until_s
        while self._next is not None and self._at_s <= until_s:
            self._newest = self._next, self._at_s
            self._advance()
        if self._newest is None or not look:
            return None
        (newest, at_s), self._newest = self._newest, None
        image = self._converter.reformat(newest, format="bgr24").to_ndarray()
        if newest.rotation:
            image = np.ascontiguousarray(np.rot90(image, newest.rotation // 90))
        return Picture(image, at_s)

    def _spare(self, packet: Any) -> None:
        """Have the decoder leave out what no other picture builds on and a newer one replaces."""
        replaced = False
        if packet.pts is not None and packet.duration:
            until_s = float((packet.pts + packet.duration) * packet.time_base) - self._begins_s
            replaced = until_s <= self._until_s - _ROUNDING_S
        self._stream.codec_context.skip_frame = "NONREF" if replaced else "DEFAULT"

    def _advance(self) -> None:
        self._next = next(self._frames, None)
        if self._next is not None:
            told = self._next.time
            self._at_s = self._at_s + self._period_s if told is None else told - self._begins_s


def _frames(
    container: Any, stream: Any, prepare: Callable[[Any], None] = lambda packet: None
) -> Iterator[Any]:
    """Decode one stream. A packet that cannot be decoded is skipped; a broken end is the end.

    Args:
        prepare: is given every packet before it is decoded.
    """
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        prepare(packet)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames
