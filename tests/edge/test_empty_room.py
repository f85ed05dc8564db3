"""An empty, silent room: little is decoded and few answers are given, until somebody comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.host.load import SystemLoad
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sources.base import LIVE, AudioChunk, Captured, VideoFrame
from mera_edge.sources.undecoded import Motion, Undecoded

RATE, ENTERS = 25, 75
"""Pictures a second, and the one in which something comes into view."""


def packets(path: Path, **options: str) -> list[av.Packet]:
    """Encode a noisy wall, before which something moves from picture `ENTERS` on."""
    random = np.random.default_rng(0)
    wall = np.kron(random.normal(128, 30, (30, 40)), np.ones((8, 8)))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.height, stream.width = wall.shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {"tune": "zerolatency", "preset": "veryfast", **options}
        for index in range(ENTERS + RATE):
            image = wall + random.normal(0, 2, wall.shape)
            if index >= ENTERS:
                at = 4 * (index - ENTERS)
                image[120:200, at : at + 60] = random.normal(90, 40, (80, 60))
            grey = image.clip(0, 255).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        file.mux(stream.encode(None))
    with av.open(str(path)) as file:
        return [packet for packet in file.demux(video=0) if packet.size]


def test_motion_is_detected_from_packet_sizes(tmp_path: Path) -> None:
    motion, still = Motion(), []
    for packet in packets(tmp_path / "room.mp4", g="50"):
        motion.accept(packet.size, packet.is_keyframe)
        still.append(motion.is_still)
    assert all(still[10:ENTERS])
    assert not any(still[ENTERS + 5 :])


def test_constant_bitrate_video_is_never_considered_still(tmp_path: Path) -> None:
    constant = "nal-hrd=cbr:bitrate=600:vbv-maxrate=600:vbv-bufsize=600"
    motion = Motion()
    for packet in packets(tmp_path / "room.mp4", g="50", **{"x264-params": constant}):
        motion.accept(packet.size, packet.is_keyframe)
        assert not motion.is_still


def test_deferred_packets_decode_to_the_same_frames(tmp_path: Path) -> None:
    """From the newest key frame on, however many pictures were left out before it."""
    path = tmp_path / "room.mp4"
    packets(path, g="20")
    with av.open(str(path)) as file:
        whole = [frame.to_ndarray() for frame in file.decode(video=0)]
    undecoded, found = Undecoded(), {}
    with av.open(str(path)) as file:
        for index, packet in enumerate(file.demux(video=0)):
            undecoded.add(packet)
            if index in (3, 7, 55, 81):
                frame = undecoded.newest(is_needed=True)
                assert frame is not None and not undecoded.has_news
                found[index] = frame.to_ndarray()
    for index, image in found.items():
        assert np.array_equal(image, whole[index]), index


class Room:
    """A source of silence and of pictures that change, or do not, or of neither."""

    id = name = "room"
    is_live = has_audio = has_video = True
    ended, condition = False, LIVE

    def __init__(
        self, ends_s: float, picture: Callable[[float], NDArray[np.uint8]] | None, is_heard: bool
    ) -> None:
        self._ends_s, self._picture, self._is_heard = ends_s, picture, is_heard
        self._heard_s = 0.0
        self.polled_s: list[float] = []
        self._random = np.random.default_rng(0)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Give all of the silence since the last call."""
        self.polled_s.append(until_s)
        self.ended = until_s >= self._ends_s
        samples = self._random.normal(0, 3e-4, round((until_s - self._heard_s) * 16_000))
        sound = AudioChunk(samples.astype(np.float32), self._heard_s)
        self._heard_s = until_s
        is_seen = needs_frame and self._picture is not None
        frame = VideoFrame(self._picture(until_s), until_s) if is_seen else None
        return Captured([sound] if len(samples) and self._is_heard else [], frame)


def pauses(room: Room) -> Callable[[float, float], NDArray[np.float64]]:
    """Return what gives the times between answers in a part of the stream, in seconds."""
    live = Pipeline(Bundle.open(), Live(SystemLoad, 1000))
    run(live, [room], VirtualClock(), [], threading.Event())
    times_s = np.array(room.polled_s)

    def between(since_s: float, until_s: float) -> NDArray[np.float64]:
        found = np.diff(times_s)[(times_s[1:] > since_s) & (times_s[1:] <= until_s)]
        assert len(found)
        return found

    return between


@pytest.mark.parametrize("is_heard", [True, False], ids=["microphone", "no microphone"])
def test_an_empty_silent_room_is_answered_less_often_until_something_moves(is_heard: bool) -> None:
    random = np.random.default_rng(0)

    def noise() -> NDArray[np.uint8]:
        return random.integers(0, 255, (240, 320, 3)).astype(np.uint8)

    wall = noise()
    room = Room(12.0, lambda now_s: noise() if now_s > 9 else wall, is_heard)
    between = pauses(room)
    assert between(0, 3) == pytest.approx(0.2)
    assert between(4, 9) == pytest.approx(0.6)
    assert between(9.9, 12) == pytest.approx(0.2)


@pytest.mark.parametrize("is_heard", [True, False], ids=["microphone", "no microphone"])
def test_a_silent_room_without_pictures_is_answered_less_often(is_heard: bool) -> None:
    between = pauses(Room(6.0, None, is_heard))
    assert between(0, 3) == pytest.approx(0.2)
    assert between(4, 6) == pytest.approx(0.6)
