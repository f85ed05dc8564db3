"""The packets of a file on one clock that goes forward, whatever its time stamps say."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mera_edge.sources.base import seconds

LARGEST_GAP_S: Final = 10.0
"""A clock that goes on by more has jumped; FFmpeg's own limit (``dts_delta_threshold``)."""
_LARGEST_STEP_BACK_S = 0.5
"""Streams overlap by less where recordings were joined; a clock that goes back more was set."""
_USUAL_GAP_S = 1.0
"""Where one is longer, the packets behind it are asked whether it is a mistake."""
_AHEAD_PACKETS, _AHEAD_BYTES = 100, 4 << 20
"""How far a jump is looked beyond, to see how the other streams take it."""
_CLOCKS_KEPT = 8

LARGEST_PICTURE: Final = 7680 * 4320
"""Pixels. A file of a few bytes can claim a picture that no memory holds."""

_OPTIONS: Final = {
    "protocol_whitelist": "file,crypto,data",  # a playlist opens no socket
    "pattern_type": "none",  # %03d in a file's name is no pattern
    "max_pixels": str(LARGEST_PICTURE),
    "max_reload": "0",  # a playlist without an end is not waited for
    "m3u8_hold_counters": "0",
}
_PATIENCE_S = 20.0
"""For one read of a file."""
_LIST = b"ffconcat version"
"""With which FFmpeg's list of files begins."""


def open_container(path: Path) -> Any:
    """Open a file with FFmpeg, which is given nothing but files.

    Raises:
        av.FFmpegError, OSError, ValueError: it cannot be opened.
    """
    import av

    if _names_a_list(path):
        raise ValueError("it is a playlist that names another playlist")
    # Metadata may be of any encoding, which PyAV from 19 on reads without being told.
    lenient: dict[str, Any] = (
        {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    )
    # "file:" keeps 12:30.mp4 from being a protocol.
    container = av.open(f"file:{path}", options=_OPTIONS, timeout=_PATIENCE_S, **lenient)
    for stream in container.streams:
        if stream.codec_context is not None:
            stream.codec_context.options = {"max_pixels": str(LARGEST_PICTURE)}
    return container


def _names_a_list(path: Path) -> bool:
    """Whether it is a list that names a list: FFmpeg would open one that names itself for ever."""

    def begins(path: Path) -> str | None:
        with path.open("rb") as file:
            is_list = file.read(len(_LIST)) == _LIST
            return file.read(1 << 20).decode(errors="replace") if is_list else None

    for line in (begins(path) or "").splitlines():
        word, _, name = line.strip().partition(" ")
        named = path.parent / "".join(re.split(r"['\\]", name.strip()))
        if word == "file" and named.is_file() and begins(named) is not None:
            return True
    return False


@dataclass
class _Clock:
    """Where one stream is."""

    shift_s: float = 0.0
    """What is added to its time stamps."""
    due_s: float | None = None
    """When its next packet is expected."""


@dataclass
class StreamTimeline:
    """Reads the packets of streams in the order of the file and mends their time stamps.

    A stamp that is off alone is replaced. Where a clock jumps, it is shifted so that the stream
    goes on without a hole; the other streams, which jump with it, are shifted by as much, and so
    keep step. Two timelines over the same streams of the same file say the same.

    Args:
        container: an open file.
        streams: whose packets are wanted.
        begins_s: the stamp at which the file begins.

    Attributes:
        jumps: how many there were.
        first_jump: when the first was, in stream time, and where to, in seconds.
    """

    container: Any
    streams: Sequence[Any]
    begins_s: float
    jumps: int = 0
    first_jump: tuple[float, float] | None = None
    _clocks: dict[int, _Clock] = field(default_factory=dict)
    _known: deque[float] = field(default_factory=lambda: deque([0.0], _CLOCKS_KEPT))
    _ahead: deque[Any] = field(default_factory=deque)

    @property
    def is_counted(self) -> bool:
        """Whether stamps of sound are only counted from the bytes before, as in a WAV or an MP3."""
        from av.format import Flags

        flags = Flags(self.container.format.flags)
        return bool(flags & Flags.generic_index) and not flags & Flags.ts_discont

    def packets(self) -> Iterator[Any]:
        """Give the packets, at the end one without content for each stream."""
        source = self._read()
        while True:
            packet = self._ahead.popleft() if self._ahead else next(source, None)
            if packet is None:
                return
            self._mend(packet, source)
            yield packet

    def _read(self) -> Iterator[Any]:
        import av

        packets = self.container.demux(self.streams)
        while True:
            try:
                packet = next(packets, None)
            # PyAV does not know streams that appear late; what is left then is their end.
            except (av.FFmpegError, ValueError, IndexError):
                return
            if packet is None:
                return
            yield packet

    def _mend(self, packet: Any, source: Iterator[Any]) -> None:
        clock = self._clocks.setdefault(packet.stream_index, _Clock())
        told_s = self._told_s(packet)
        if told_s is None:
            if clock.due_s is not None:
                clock.due_s += _duration_s(packet)
            return
        at_s = told_s + clock.shift_s
        if not self._fits(at_s, clock.due_s) or at_s > (clock.due_s or 0.0) + _USUAL_GAP_S:
            self._look_ahead(source)
            at_s = self._judge(packet, told_s, clock)
        clock.due_s = at_s + _duration_s(packet)
        _stamp(packet, at_s - told_s)

    def _judge(self, packet: Any, told_s: float, clock: _Clock) -> float:
        """Return the stream time of a packet that does not go on from the one before."""
        due_s = clock.due_s or 0.0
        if self._comes_back(packet, clock):
            self._count(due_s, told_s)
            return due_s
        if self._fits(told_s + clock.shift_s, clock.due_s):
            return told_s + clock.shift_s
        known_s = next((s for s in self._known if self._fits(told_s + s, clock.due_s)), None)
        if known_s is None:
            self._count(due_s, told_s)
            known_s = self._new_shift_s(packet.stream_index, told_s, clock)
            self._known.appendleft(known_s)
        clock.shift_s = known_s
        return told_s + known_s

    def _comes_back(self, packet: Any, clock: _Clock) -> bool:
        """Whether stamps are soon what they would be without this one, which is wrong then."""
        if clock.due_s is None:
            return False
        due_s = clock.due_s + _duration_s(packet)
        for other in self._ahead:
            its_s = self._told_s(other)
            if other.stream_index == packet.stream_index and its_s is not None:
                if abs(its_s + clock.shift_s - due_s) < _LARGEST_STEP_BACK_S:
                    return True
                due_s += _duration_s(other)
        return False

    def _count(self, at_s: float, told_s: float) -> None:
        self.jumps += 1
        self.first_jump = self.first_jump or (at_s, told_s)

    def _new_shift_s(self, index: int, told_s: float, clock: _Clock) -> float:
        """Return a shift with which no stream goes back, as far as they jump together."""
        shift_s = (clock.due_s or 0.0) - told_s
        for other, its in self._clocks.items():
            due_s = its.due_s
            for packet in self._ahead:
                its_s = self._told_s(packet)
                if other == index or packet.stream_index != other or its_s is None:
                    continue
                if due_s is None or self._fits(its_s + its.shift_s, due_s):
                    due_s = its_s + its.shift_s + _duration_s(packet)
                    continue
                if abs(due_s - its_s - shift_s) < LARGEST_GAP_S:
                    shift_s = max(shift_s, due_s - its_s)
                break
        return shift_s

    def _look_ahead(self, source: Iterator[Any]) -> None:
        size = sum(packet.size for packet in self._ahead)
        room = _AHEAD_PACKETS - len(self._ahead)
        for packet in itertools.islice(source, max(0, room)):
            self._ahead.append(packet)
            size += packet.size
            if size > _AHEAD_BYTES:
                return

    def _told_s(self, packet: Any) -> float | None:
        stamp, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
        return seconds(stamp, base) - self.begins_s if stamp is not None and base else None

    def _fits(self, at_s: float, due_s: float | None) -> bool:
        earliest_s = -LARGEST_GAP_S if due_s is None else due_s - _LARGEST_STEP_BACK_S
        return earliest_s <= at_s <= self._front_s + LARGEST_GAP_S

    @property
    def _front_s(self) -> float:
        return max((c.due_s for c in self._clocks.values() if c.due_s is not None), default=0.0)


def _duration_s(packet: Any) -> float:
    base = packet.time_base
    if not packet.duration or not base:
        return 0.0
    return min(max(0.0, seconds(packet.duration, base)), LARGEST_GAP_S)


def _stamp(packet: Any, shift_s: float) -> None:
    """Shift a packet's stamps; a presentation far from its decoding is a mistake."""
    if packet.dts is not None and packet.pts is not None and packet.pts != packet.dts:
        apart_s = abs(seconds(packet.pts - packet.dts, packet.time_base))
        if apart_s > LARGEST_GAP_S:
            packet.pts = packet.dts
    if shift_s:
        ticks = round(shift_s / packet.time_base)
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks


class Frames:
    """What is decoded of one stream, and what could not be.

    Args:
        timeline: gives packets, of this stream and of others.
        index: of the stream that is decoded.
        prepare: is given every packet of it before it is decoded.

    Attributes:
        packets, failed, keys: how many there were, could not be decoded, and stand alone.
        frames: how many came of them.
        why: of the latest failure.
    """

    def __init__(
        self,
        timeline: StreamTimeline,
        index: int,
        prepare: Callable[[Any], None] = lambda packet: None,
    ) -> None:
        self._timeline, self._index, self._prepare = timeline, index, prepare
        self.packets = self.failed = self.keys = self.frames = 0
        self.why = ""

    def __iter__(self) -> Iterator[Any]:
        import av

        for packet in self._timeline.packets():
            if packet.stream_index != self._index:
                continue
            self._prepare(packet)
            self.packets += packet.size > 0
            self.keys += packet.size > 0 and packet.is_keyframe
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError, ArithmeticError) as error:
                self.refuse(error)
                continue
            self.frames += len(frames)
            yield from frames

    def refuse(self, error: Exception) -> None:
        """Count something that cannot be used."""
        self.failed += 1
        self.why = getattr(error, "strerror", None) or str(error)
