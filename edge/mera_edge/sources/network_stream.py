"""The child process of a network stream: its picture, its sound, or both over one connection."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import SourceError
from mera_edge.sources import network
from mera_edge.sources.child import serve
from mera_edge.sources.mono import Mono
from mera_edge.sources.shared_frame import LONGEST_SIDE, SharedFrame
from mera_edge.sources.undecoded import Undecoded, decoded

Kind = Literal["video", "audio"]

PICTURE: Final = b"v"
"""There is a new picture in the slot."""
UNSEEN: Final = b"u"
"""New pictures have arrived, but nothing moves in them, so that none has been decoded."""
SOUND: Final = b"a"
"""`SOUND_HEAD` and samples follow."""
ABSENT: Final = {"video": b"V", "audio": b"A"}
"""The stream has none of this kind."""

SOUND_HEAD = struct.Struct("<d?")
"""When the last sample was captured, on the monotonic clock; whether sound before it was lost."""

SHARED_PER_S, IDLE_PER_S = 15, 5
"""Pictures that are shared, at most, and while nobody looks; more would be dropped unseen. Others
are not even decoded, unless a later one needs them."""
IDLE_AFTER_S = 0.25

STILL_S, KEY_S = 2.0, 0.9
"""Time between shared pictures while nobody looks and nothing moves; for key frames the second."""
TELL_S = 0.5
"""Time between messages `UNSEEN`."""

REST_S, RESTING_S = 0.2, 0.5
"""Pause between reads of the connection while the room rests, and the time between polls that shows
that it does."""
_WAITED_S, _AT_ONCE_S = 0.002, 0.02
"""A packet for which reading blocks this long had not arrived yet: all earlier ones have been read.
The newest picture is awaited no longer than the second time."""

OPEN_LIMIT_S, READ_LIMIT_S = 6.0, 5.0
"""The first picture may wait for a key frame, which cameras send every few seconds."""

_JUMP_S, _DRIFT = 0.5, 1e-3
"""What a time stamp may be off before it counts as a jump, and how much faster than ours the clock
of a camera may run."""


class StreamClock:
    """From the time stamps of a stream to the monotonic clock of this machine.

    What arrived with the least delay tells when time stamp 0 was. Picture and sound have the same
    clock, so that they stay together however late one of them arrives.
    """

    def __init__(self) -> None:
        self._zero_s: float | None = None
        self._looked_s = 0.0

    def arrived(self, stamp_s: float, now_s: float) -> None:
        """Take the time stamp of a packet that came just now."""
        zero_s = now_s - stamp_s
        if self._zero_s is not None and abs(zero_s - self._zero_s) < _JUMP_S:
            later_s = self._zero_s + _DRIFT * (now_s - self._looked_s)
            zero_s = min(zero_s, later_s)
        self._zero_s, self._looked_s = zero_s, now_s

    def time(self, stamp_s: float, now_s: float) -> float:
        """Return when what has this time stamp was captured: not later than now."""
        return now_s if self._zero_s is None else min(now_s, self._zero_s + stamp_s)


def capture(
    url: str, kinds: Sequence[Kind], slot: SharedFrame | None = None
) -> Generator[bytes, None, None]:
    """Give what a stream brings, `PICTURE` or `SOUND` first, and once what is `ABSENT`.

    Args:
        url: of the stream.
        kinds: what is wanted of it.
        slot: where pictures go.

    Raises:
        SourceError: it cannot be opened, has nothing of that, or has been lost.
    """
    import av

    limits, opened = (OPEN_LIMIT_S, READ_LIMIT_S), False
    began_s = time.monotonic()
    try:
        with av.open(url, options=network.OPTIONS, timeout=limits) as container:
            tracks = {kind: container.streams.best(kind) for kind in kinds}
            if not any(tracks.values()):
                raise SourceError("no_stream", f"it has no {' and no '.join(kinds)}")
            opened = True
            yield from (ABSENT[kind] for kind, track in tracks.items() if track is None)
            yield from _Capture(container, [t for t in tracks.values() if t], slot).messages()
    except (av.FFmpegError, OSError, ValueError) as error:
        if opened:
            raise SourceError("lost", "it was lost") from error
        if time.monotonic() - began_s >= OPEN_LIMIT_S:
            raise SourceError("timeout", "no answer in time") from error
        raise network.diagnosis(url, kinds[0]) from error


class _Capture:
    """One open stream.

    Args:
        container: of PyAV.
        tracks: those of its streams that are wanted, one of a kind.
        slot: where pictures go.
    """

    def __init__(self, container: Any, tracks: Sequence[Any], slot: SharedFrame | None) -> None:
        self._container, self._tracks, self._slot = container, tracks, slot
        # Time stamps of one alone tell nothing that its arrival does not, and some are made up.
        self._clock = StreamClock() if len(tracks) > 1 else None
        self._mono = Mono()
        self._shared_s = self._told_s = 0.0
        self._undecoded = Undecoded()
        for track in tracks:
            track.codec_context.thread_count = 1

    def messages(self) -> Iterator[bytes]:
        """Give what comes until the stream ends, or one of its kinds does."""
        newest = {track.type: time.monotonic() for track in self._tracks}
        asked_s = began_s = time.monotonic()
        for packet in self._container.demux(self._tracks):
            kind = packet.stream.type
            now_s = newest[kind] = time.monotonic()
            if now_s - min(newest.values()) > READ_LIMIT_S:
                return
            if self._clock is not None and packet.pts is not None:
                self._clock.arrived(float(packet.pts * packet.time_base), now_s)
            if kind == "audio":
                yield from self._sound(packet)
            else:
                self._undecoded.add(packet)
            rests = self._slot is not None and self._slot.is_polled_every(RESTING_S)
            limit_s = REST_S if rests else _AT_ONCE_S
            if now_s - asked_s > _WAITED_S or now_s - began_s > limit_s:
                yield from self._picture()
                if rests:
                    time.sleep(REST_S)
                began_s = time.monotonic()
            asked_s = time.monotonic()

    def _picture(self) -> Iterator[bytes]:
        """Share the newest picture, if there is one and it is due."""
        slot, now_s = self._slot, time.monotonic()
        if slot is None or not self._undecoded.has_news:
            return
        is_watched = slot.is_watched(now_s, IDLE_AFTER_S)
        is_due = now_s - self._shared_s >= self._period_s(is_watched)
        if not is_due and (not is_watched or self._undecoded.begins_anew):
            if now_s - self._told_s > TELL_S:
                self._told_s = now_s
                yield UNSEEN
            return
        frame = self._undecoded.newest(is_due)
        if frame is not None and is_due:
            slot.put(_image(frame), self._captured_s(frame, 0.0))
            self._shared_s = self._told_s = time.monotonic()
            yield PICTURE

    def _period_s(self, is_watched: bool) -> float:
        """Return the time from one shared picture to the next."""
        if is_watched:
            return 1 / SHARED_PER_S
        if not self._undecoded.motion.is_still:
            return 1 / IDLE_PER_S
        return KEY_S if self._undecoded.begins_anew else STILL_S

    def _sound(self, packet: Any) -> Iterator[bytes]:
        for frame in decoded(packet):
            ends_s = self._captured_s(frame, frame.samples / frame.sample_rate)
            for samples in self._mono.accept(frame):
                yield SOUND + SOUND_HEAD.pack(ends_s, False) + samples.tobytes()

    def _captured_s(self, frame: Any, length_s: float) -> float:
        """Return when the end of a frame of this length was captured."""
        now_s = time.monotonic()
        if self._clock is None or frame.time is None:
            return now_s
        return self._clock.time(frame.time + length_s, now_s)


def _image(frame: Any) -> NDArray[np.uint8]:
    """Return a picture as ``[H, W, 3]``, blue first, and a huge one smaller."""
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    size = {"width": round(scale * frame.width), "height": round(scale * frame.height)}
    image: NDArray[np.uint8] = frame.to_ndarray(format="bgr24", **size)
    return image


def _main() -> None:
    descriptor, *kinds = sys.argv[1:]
    slot = SharedFrame(int(descriptor)) if "video" in kinds else None
    wanted: list[Kind] = [kind for kind in ("video", "audio") if kind in kinds]
    serve(lambda url: capture(url, wanted, slot))


if __name__ == "__main__":
    _main()
