"""A camera or microphone that cannot be opened says why: real servers, real device nodes."""

from __future__ import annotations

import io
import os
import socketserver
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from mera_edge.errors import SourceError
from mera_edge.reasons import MEANINGS, REMEDIES, ReasonCode
from mera_edge.sources import address, camera, device, network, network_stream
from mera_edge.sources.shared_frame import SharedFrame

PAGE = b"<!doctype html><title>Camera</title><p>Log in to see the camera." + 4000 * b" "
STATUS = {
    401: ("unauthorized", "401"),
    403: ("forbidden", "403"),
    404: ("not_found", "404"),
    406: ("not_found", "4xx"),
    500: ("server_error", "5xx"),
}


@contextmanager
def server(answer: Callable[[str], bytes]) -> Iterator[int]:
    """Answer every request head with some bytes; gives the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = ""
            while line := self.rfile.readline().decode():
                head += line
                if line == "\r\n":
                    self.wfile.write(answer(head))
                    if head.startswith("GET"):
                        break
                    head = ""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as tcp:
        tcp.daemon_threads = True
        threading.Thread(target=tcp.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield tcp.server_address[1]
        finally:
            tcp.shutdown()


def http(status: int, body: bytes = b"", kind: str = "text/html") -> Callable[[str], bytes]:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    login = 'WWW-Authenticate: Basic realm="camera"\r\n' if status == 401 else ""
    return lambda _: f"{head}{login}Connection: close\r\n\r\n".encode() + body


def rtsp(status: int) -> Callable[[str], bytes]:
    def answer(head: str) -> bytes:
        number = next(line for line in head.splitlines() if line.lower().startswith("cseq"))
        login = 'WWW-Authenticate: Basic realm="camera"\r\n' if status == 401 else ""
        return f"RTSP/1.0 {status} x\r\n{number}\r\n{login}\r\n".encode()

    return answer


def see(spec: str) -> SourceError:
    """Return why a camera gives nothing."""
    slot = SharedFrame()
    if address.kind(spec) == "url":
        captured = network_stream.capture(spec, ["video"], slot)
    else:
        captured = camera.capture(spec, slot)
    with closing(slot), closing(captured) as pictures:
        with pytest.raises(SourceError) as raised:
            next(pictures)
        return raised.value


def hear(url: str) -> SourceError:
    """Return why a microphone of the network gives nothing."""
    with closing(network_stream.capture(url, ["audio"])) as sound:
        with pytest.raises(SourceError) as raised:
            next(sound)
        return raised.value


@pytest.mark.parametrize("attempt", [see, hear])
@pytest.mark.parametrize("status", STATUS)
@pytest.mark.parametrize(("scheme", "answers"), [("http", http), ("rtsp", rtsp)])
def test_a_server_that_refuses(
    attempt: Callable, status: int, scheme: str, answers: Callable
) -> None:
    with server(answers(status)) as port:
        error = attempt(f"{scheme}://admin:s3cret@127.0.0.1:{port}/1?password=s3cret")
    code, part = STATUS[status]
    assert error.code == code
    assert part in error.what
    assert "s3cret" not in error.what


@pytest.mark.parametrize("attempt", [see, hear])
def test_a_web_page_is_reported_as_not_media(attempt: Callable) -> None:
    with server(http(200, PAGE)) as port:
        error = attempt(f"http://127.0.0.1:{port}/")
    assert error.code == "not_media"
    assert "web page" in error.what


@pytest.mark.parametrize("attempt", [see, hear])
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:9/1", "refused"),
        ("rtsp://127.0.0.1:9/1", "refused"),
        ("rtsp://camera.invalid/1", "unknown_host"),
        ("https://camera.invalid/1", "unknown_host"),
        ("rtsp://:554/1", "unknown_host"),
        ("rtsp://127.0.0.1:99999/1", "unknown_host"),
        ("teleport://127.0.0.1/1", "unsupported"),
    ],
)
def test_connection_errors_have_codes(attempt: Callable, url: str, code: str) -> None:
    assert attempt(url).code == code


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_stream, "OPEN_LIMIT_S", 0.3)
    monkeypatch.setattr(network, "OPEN_LIMIT_S", 0.3)
    with server(lambda _: b"") as port:
        assert see(f"rtsp://127.0.0.1:{port}/1").code == "timeout"
        assert network.diagnosis(f"rtsp://127.0.0.1:{port}/1", "audio").code == "timeout"


def test_stream_without_the_requested_kind_is_an_error() -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    picture = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    frames = 20 * (b"--f\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")
    with server(http(200, sound.getvalue(), "audio/wav")) as port:
        assert see(f"http://127.0.0.1:{port}/sound.wav").code == "no_stream"
    with server(http(200, frames, "multipart/x-mixed-replace; boundary=f")) as port:
        assert hear(f"http://127.0.0.1:{port}/video").code == "no_stream"


def test_device_errors_name_the_cause(tmp_path: Path) -> None:
    link = tmp_path / "usb-Camera_1-video-index0"
    link.symlink_to("/dev/video97")
    for spec in ("97", "/dev/video97", "/dev/v4l/by-id/usb-Camera_1-video-index0"):
        error = see(spec)
        assert error.code == "no_device"
        assert str(spec) in error.what
    assert "fuser" in REMEDIES["busy"]
    assert see("v4l2src ! appsink").code == "no_gstreamer"


def test_a_device_that_may_not_be_opened_names_its_group(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch(0o600)
    tmp_path.chmod(0o711)
    if os.geteuid():
        node.chmod(0)
        error = device.diagnosis(node)
    else:  # root may open everything
        above = [path for path in tmp_path.parents if not path.stat().st_mode & 1]
        for path in above:
            path.chmod(path.stat().st_mode | 0o011)
        os.seteuid(65534)
        try:
            error = device.diagnosis(node)
        finally:
            os.seteuid(0)
    assert error.code == "no_permission"
    assert f"group {node.group()}" in error.what


def test_every_reason_has_a_meaning_and_every_remedy_a_reason() -> None:
    assert set(REMEDIES) <= set(MEANINGS) == set(get_args(ReasonCode))


def test_a_device_that_another_program_uses_is_busy_and_the_program_named() -> None:
    leader, follower = os.openpty()
    node = Path(os.ttyname(follower))
    try:
        alone = device.diagnosis(node)
        assert alone.code == "cannot_open" and "delivers no frames" in alone.what
        code = f"used = open({str(node)!r}); print(flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None and other.stdout.readline()
            busy = device.diagnosis(node)
            other.communicate(b"\n")
        assert busy.code == "busy" and f"(process {other.pid})" in busy.what
    finally:
        os.close(leader)
        os.close(follower)
