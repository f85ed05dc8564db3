"""Cameras and microphones through the real paths, with servers in place of hardware."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from mera_edge.errors import InputError, MeraError, SourceError
from mera_edge.sources.camera import Camera
from mera_edge.sources.media import MediaFile
from mera_edge.sources.microphone import Microphone
from mera_edge.sources.select import select


@contextmanager
def network_camera(pictures: int) -> Iterator[str]:
    """Serve so many pictures a tenth of a second apart, then freeze with the connection open."""
    freeze = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for index in range(pictures):
                image = np.full((120, 160, 3), index * 5 % 255, np.uint8)
                data = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.1)
            freeze.wait(20)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        freeze.set()
        server.shutdown()


def test_a_network_camera_gives_its_newest_picture_and_its_age() -> None:
    with network_camera(pictures=60) as url:
        camera = Camera(url)
        camera.open()
        time.sleep(0.5)
        picture = camera.poll(10.0).picture
        assert picture is not None
        assert picture.image.shape == (120, 160, 3)
        assert 9.0 < picture.at_s <= 10.0
        assert not camera.ended
        camera.close()


def test_a_camera_that_never_gives_a_picture_is_refused_in_time() -> None:
    with network_camera(pictures=0) as url:
        began = time.monotonic()
        with pytest.raises(SourceError, match="gives no picture"):
            Camera(url).open()
        assert time.monotonic() - began < 7


def test_a_microphone_that_is_not_there_is_refused_with_a_remedy() -> None:
    with pytest.raises(MeraError) as error:
        Microphone("no such microphone").open()
    assert error.value.remedy


@pytest.mark.parametrize(
    ("camera", "mic", "kinds"),
    [
        ("0", "default", [Camera, Microphone]),
        ("rtsp://host/stream.mp4", "none", [Camera]),
        ("v4l2src ! appsink", "none", [Camera]),
        ("clip.mp4", "none", [MediaFile]),
        ("clip.mp4", "clip.mp4", [MediaFile]),
        ("clip.mp4", "talk.wav", [MediaFile, MediaFile]),
        ("none", "2", [Microphone]),
    ],
)
def test_what_a_user_writes_chooses_the_source(camera: str, mic: str, kinds: list[type]) -> None:
    assert [type(source) for source in select(camera, mic)] == kinds


def test_nothing_to_see_or_hear_is_an_error() -> None:
    with pytest.raises(InputError):
        select("none", "none")
