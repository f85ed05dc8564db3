"""Cameras through the real path, with a server in place of hardware, and what chooses a source."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_camera import served

from mera_edge.config import RoomSettings
from mera_edge.errors import InputError
from mera_edge.sources import camera as camera_module
from mera_edge.sources import capture_process
from mera_edge.sources.base import Captured, Source, VideoFrame
from mera_edge.sources.camera import Camera
from mera_edge.sources.media import MediaFile
from mera_edge.sources.microphone import AudioResampler, Microphone
from mera_edge.sources.network_stream import StreamClock
from mera_edge.sources.select import select
from mera_edge.sources.shared_frame import SharedFrame

PERIOD_S = 0.05


def changing(index: int) -> np.ndarray:
    return np.full((120, 160, 3), index * 5 % 255, np.uint8)


@contextmanager
def network_camera(
    picture: Callable[[int], np.ndarray] = changing, port: int = 0, login: str = ""
) -> Iterator[tuple[str, threading.Event]]:
    """Serve pictures; gives the URL and what freezes the server with its connections open."""
    frozen, over = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "Basic ").removeprefix("Basic ")
            if b64decode(given).decode() != login:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for index in count():
                while frozen.is_set() and not over.is_set():
                    time.sleep(0.02)
                if over.wait(PERIOD_S):
                    return
                data = cv2.imencode(".jpg", picture(index))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data + b"\r\n")
                except OSError:
                    return

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video", frozen
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@contextmanager
def opened(spec: str) -> Iterator[Camera]:
    camera = Camera(spec)
    camera.open()
    try:
        yield camera
    finally:
        camera.close()


def watch(camera: Camera, until: Callable[[list[VideoFrame]], bool]) -> list[VideoFrame]:
    """Poll ten times a second until something holds; no poll may wait for the camera.

    A busy machine may take its time for everything; a camera that is waited for, seconds.
    """
    pictures: list[VideoFrame] = []
    waits_s = [0.0]
    deadline = time.monotonic() + 60
    while not until(pictures):
        assert time.monotonic() < deadline, camera.condition
        time.sleep(0.1)
        polled = time.monotonic()
        picture = camera.poll(10.0).frame
        waits_s.append(time.monotonic() - polled)
        pictures += [picture] if picture else []
    assert sorted(waits_s)[len(waits_s) // 2] < 0.1
    return pictures


def is_live(camera: Camera) -> list[VideoFrame]:
    """Wait until a camera is live, and return its pictures until then."""
    return watch(camera, lambda _: camera.condition.state == "live")


def children(parent: int | None = None) -> list[int]:
    """Processes of network streams that a process, by default this one, has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
            of = (path.parent / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"mera_edge.sources.network_stream" in arguments and int(of) == (parent or os.getpid()):
            found.append(int(path.parent.name))
    return found


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_network_camera_gives_its_newest_picture_and_its_age() -> None:
    with network_camera() as (url, _), opened(url) as camera:
        assert camera.condition.state == "connecting"
        is_live(camera)
        pictures = watch(camera, lambda pictures: any(9.8 < p.at_s <= 10.0 for p in pictures))
        assert {picture.image.shape for picture in pictures} == {(120, 160, 3)}
        assert children()
    assert not children()


def test_a_password_from_a_file_opens_a_camera(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@s:s/#?%\n")
    with network_camera(login="cam:p@s:s/#?%") as (url, _):
        address = url.replace("://", "://cam@")
        room = RoomSettings(camera=address, password_file=str(tmp_path / "password"))
        with opened(room.addresses()[0]) as camera:
            watch(camera, lambda _: camera.condition.state == "live")
        with opened(address) as camera:
            watch(camera, lambda _: camera.condition.code == "unauthorized")


def test_unneeded_frame_is_not_copied() -> None:
    with network_camera() as (url, _), opened(url) as camera:
        is_live(camera)
        for _ in range(3):
            time.sleep(0.2)
            assert camera.poll(10.0, needs_frame=False).frame is None
        assert watch(camera, lambda pictures: any(p.at_s > 9.8 for p in pictures))


def test_lost_camera_is_gone_and_reconnects() -> None:
    with network_camera() as (url, _):
        camera = Camera(url)
        camera.open()
        is_live(camera)
    watch(camera, lambda _: camera.condition.code == "refused")
    assert camera.condition.state == "gone"
    with network_camera(port=int(url.split(":")[2].split("/")[0])):
        assert is_live(camera)
    camera.close()


def test_a_process_that_died_or_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_process, "STALLED_AFTER_S", 0.4)
    monkeypatch.setattr(capture_process, "HUNG_AFTER_S", 2.0)
    with network_camera() as (url, _), opened(url) as camera:
        is_live(camera)
        (first,) = children()
        os.kill(first, signal.SIGSEGV)
        watch(camera, lambda _: "died with SIGSEGV" in camera.condition.reason)
        is_live(camera)
        (second,) = children()
        os.kill(second, signal.SIGSTOP)
        watch(camera, lambda _: camera.condition.state == "stalled")
        watch(camera, lambda _: "does not respond" in camera.condition.reason)
        is_live(camera)
        assert len({first, second, *children()}) == 3


def test_frozen_camera_is_stalled_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_process, "STALLED_AFTER_S", 0.4)
    with network_camera() as (url, frozen), opened(url) as camera:
        is_live(camera)
        frozen.set()
        watch(camera, lambda _: camera.condition.state == "stalled")
        assert camera.condition.reason == "no more data"
        frozen.clear()
        assert is_live(camera)


def test_the_same_picture_again_and_again_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera_module, "FROZEN_AFTER_S", 0.5)
    still = threading.Event()
    still.set()
    with (
        network_camera(lambda index: changing(0 if still.is_set() else index)) as (url, _),
        opened(url) as camera,
    ):
        is_live(camera)
        watch(camera, lambda _: camera.condition.reason == "the image does not change")
        assert camera.condition.state == "stalled"
        time.sleep(0.3)
        assert camera.poll(10.0).frame is None
        camera.poll(10.0, needs_frame=False)
        assert camera.condition.state == "stalled"
        still.clear()
        assert is_live(camera)


def test_a_camera_may_be_huge_and_change_its_resolution() -> None:
    shapes = [(1200, 2400, 3), (120, 160, 3)]
    with (
        network_camera(lambda index: np.full(shapes[index // 3 % 2], index, np.uint8)) as (url, _),
        opened(url) as camera,
    ):
        sizes = {(960, 1920, 3), (120, 160, 3)}
        watch(camera, lambda pictures: {picture.image.shape for picture in pictures} == sizes)


def test_capture_process_ends_with_its_parent() -> None:
    orphaned = """
import sys, time
from mera_edge.sources.camera import Camera
camera = Camera(sys.argv[1])
camera.open()
while camera.condition.state != "live":
    time.sleep(0.05)
    camera.poll(0.0)
print("live", flush=True)
time.sleep(60)
"""
    with network_camera() as (url, _):
        parent = subprocess.Popen(
            [sys.executable, "-c", orphaned, url], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        assert parent.stdout.readline() == "live\n"
        (child,) = children(parent.pid)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 30
        while runs(child):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(1, 64), st.integers(1, 64), st.booleans()), min_size=1, max_size=8
    )
)
def test_shared_frame_gives_the_newest_frame_once(puts: list[tuple[int, int, bool]]) -> None:
    writer = SharedFrame()
    reader = SharedFrame(os.dup(writer.descriptor))
    assert reader.take() is None
    newest = None
    for number, (height, width, read) in enumerate(puts):
        image = np.full((height, width, 3), number, np.uint8)
        writer.put(image, float(number))
        newest = image, float(number)
        if read:
            taken = reader.take()
            assert taken is not None
            np.testing.assert_array_equal(taken[0], newest[0])
            assert taken[1] == newest[1]
            assert reader.take() is None
    reader.close()
    writer.close()


def test_a_frame_is_never_torn_while_another_process_writes() -> None:
    writes = """
import sys
import numpy as np
from mera_edge.sources.shared_frame import SharedFrame
slot = SharedFrame(int(sys.argv[1]))
number = 0
while True:
    number += 1
    slot.put(np.full((400 + number % 7, 600, 3), number % 251, np.uint8), float(number % 251))
"""
    slot = SharedFrame()
    writer = subprocess.Popen(
        [sys.executable, "-c", writes, str(slot.descriptor)], pass_fds=[slot.descriptor]
    )
    seen, deadline = 0, time.monotonic() + 60
    while seen < 30 and time.monotonic() < deadline:
        taken = slot.take()
        if taken is not None:
            seen += 1
            assert (taken[0] == taken[1]).all()
    writer.kill()
    writer.wait()
    slot.close()
    assert seen == 30


def test_a_stream_is_a_microphone_too() -> None:
    """A sine of 500 Hz at 8 kHz in two channels, as it comes, from a server that then ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "audio/basic")
            self.end_headers()
            # The head of Sun's .au: 16 bit, 8 kHz, two channels, of unknown length.
            self.wfile.write(struct.pack(">4sIIIII", b".snd", 24, 2**32 - 1, 3, 8_000, 2))
            tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(24_000) / 8_000)
            samples = np.repeat((32767 * tone).astype(">i2"), 2)
            for block in np.split(samples, 30):
                self.wfile.write(block.tobytes())
                time.sleep(0.05)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    microphone = Microphone(f"http://127.0.0.1:{server.server_port}/sound")
    microphone.open()
    heard: list[np.ndarray] = []
    began = time.monotonic()
    while microphone.condition.state != "gone":
        assert time.monotonic() - began < 60
        time.sleep(0.05)
        heard += [sound.samples for sound in microphone.poll(1.0).audio]
    microphone.close()
    server.shutdown()
    server.server_close()
    assert microphone.condition.code == "lost"
    samples = np.concatenate(heard)
    assert len(samples) == pytest.approx(3 * 16_000, rel=0.02)
    assert np.abs(np.fft.rfft(samples[8_000:24_000])).argmax() == 500
    assert np.abs(samples[8_000:24_000]).max() == pytest.approx(0.5, abs=0.02)


RATE, PICTURES_PER_S, LENGTH_S, EVENT_S = 16_000, 10, 6, 3


def flash_and_beep(path: Path) -> Path:
    """Make a clip that is dark and silent until a moment, and bright and loud from then on."""
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("libx264", rate=PICTURES_PER_S)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        pictures.codec_context.options = {"tune": "zerolatency", "g": "10"}
        sound = file.add_stream("aac", rate=RATE, layout="mono")
        for index in range(LENGTH_S * PICTURES_PER_S):
            image = np.full(
                (120, 160, 3), 20 if index < EVENT_S * PICTURES_PER_S else 220, np.uint8
            )
            image[0, index % 160] = 255  # no picture is like the one before
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(LENGTH_S * RATE) / RATE)
        tone[: EVENT_S * RATE] *= 0.001
        for start in range(0, len(tone), 1024):
            block = tone[None, start : start + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, "fltp", "mono")
            frame.rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            file.mux(sound.encode(frame))
        file.mux([*pictures.encode(None), *sound.encode(None)])
    return path


@contextmanager
def streamed(clip: Path) -> Iterator[str]:
    server = served(0, clip)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/1"
    finally:
        server.shutdown()
        server.server_close()


def watch_all(sources: list[Source], until: Callable[[float, Captured], bool]) -> None:
    began_s = time.monotonic()
    while True:
        now_s = time.monotonic() - began_s
        parts = [source.poll(now_s) for source in sources]
        sound = [chunk for part in parts for chunk in part.audio]
        frames = [part.frame for part in parts if part.frame is not None]
        if until(now_s, Captured(sound, frames[-1] if frames else None)):
            return
        assert now_s < 60, [source.condition for source in sources]
        time.sleep(0.03)


def test_picture_and_sound_come_over_one_connection_and_stay_together(tmp_path: Path) -> None:
    seen_s, heard_s = [], []

    def both(now_s: float, captured: Captured) -> bool:
        if captured.frame is not None and captured.frame.image.mean() > 128:
            seen_s.append(captured.frame.at_s)
        for chunk in captured.audio:
            if (loud := np.flatnonzero(np.abs(chunk.samples) > 0.1)).size:
                heard_s.append(chunk.at_s + loud[0] / RATE)
        return bool(seen_s and heard_s)

    with streamed(flash_and_beep(tmp_path / "clip.mp4")) as url:
        camera, microphone = sources = select(url, url)
        for source in sources:
            source.open()
        watch_all(sources, both)
        assert [source.condition.state for source in sources] == ["live", "live"]
        assert len(children()) == 1
        # A picture lasts a tenth of a second.
        assert seen_s[0] == pytest.approx(heard_s[0], abs=0.11)
        microphone.close()
        watch_all([camera], lambda _, captured: captured.frame is not None)
        assert len(children()) == 1
        camera.close()
    assert not children()


def test_a_camera_without_sound_still_gives_pictures() -> None:
    with network_camera() as (url, _):
        camera, microphone = sources = select(url, url)
        for source in sources:
            source.open()
        watch_all(sources, lambda *_: microphone.condition.code == "no_stream")
        watch_all(sources, lambda _, captured: captured.frame is not None)
        assert camera.condition.state == "live"
        assert microphone.condition.state == "gone"
        for source in sources:
            source.close()


@given(st.lists(st.floats(0, 0.3), min_size=20, max_size=60), st.floats(-5, 1e5))
def test_late_arrivals_do_not_shift_the_stream_clock(late_s: list[float], zero_s: float) -> None:
    clock = StreamClock()
    for index, delay_s in enumerate([0.0, *late_s]):
        stamp_s = index / 10
        clock.arrived(stamp_s - zero_s, stamp_s + delay_s)
        assert clock.time(stamp_s - zero_s, stamp_s + delay_s) == pytest.approx(stamp_s, abs=0.01)


def test_a_jump_of_the_time_stamps_is_followed() -> None:
    clock = StreamClock()
    clock.arrived(10.0, 100.0)
    clock.arrived(9_000.0, 100.1)
    assert clock.time(9_000.0, 100.1) == pytest.approx(100.1)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_becomes_16_khz_mono(rate: int, channels: int) -> None:
    moments = np.arange(2 * rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 500 * moments).astype(np.float32)
    intake = AudioResampler(rate, channels)
    stereo = np.repeat(tone[:, None], channels, axis=1)
    blocks = np.array_split(stereo, 100)
    heard = np.concatenate([intake.accept(block.tobytes()) for block in blocks])
    assert heard.dtype == np.float32
    # What the filter still holds back is less than a tenth of a second.
    assert 2 * 16_000 - 1_600 < len(heard) <= 2 * 16_000
    spectrum = np.abs(np.fft.rfft(heard[4_000:20_000]))
    assert spectrum.argmax() == 500
    assert np.abs(heard[4_000:20_000]).max() == pytest.approx(0.5, abs=0.02)


def test_occasional_reads_of_a_frame_do_not_count_as_watching() -> None:
    slot = SharedFrame()
    with closing(slot):
        assert not slot.is_watched(time.monotonic(), 0.5)
        slot.take()
        assert not slot.is_watched(time.monotonic(), 0.5)
        slot.take()
        assert slot.is_watched(time.monotonic(), 0.5)
        assert not slot.is_watched(time.monotonic() + 1, 0.5)


@pytest.mark.parametrize(
    ("camera", "mic", "kinds"),
    [
        ("0", "default", [Camera, Microphone]),
        ("rtsp://host/stream.mp4", "none", [Camera]),
        ("v4l2src ! appsink", "none", [Camera]),
        ("/dev/video0", "none", [Camera]),
        ("/dev/v4l/by-path/usb-0:1.2:1.0-video-index0", "none", [Camera]),
        ("rtsp://me:a!b@host/1", "none", [Camera]),
        ("clip.mp4", "none", [MediaFile]),
        ("clip.mp4", "clip.mp4", [MediaFile]),
        ("clip.mp4", "talk.wav", [MediaFile, MediaFile]),
        ("none", "2", [Microphone]),
    ],
)
def test_source_type_follows_from_the_camera_and_microphone_settings(
    camera: str, mic: str, kinds: list[type]
) -> None:
    assert [type(source) for source in select(camera, mic)] == kinds


def test_nothing_to_see_or_hear_is_an_error() -> None:
    with pytest.raises(InputError):
        select("none", "none")
