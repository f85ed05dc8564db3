"""A run with every sink: no audio and no video in any file it writes, in any byte it sends.

That it writes no other files and opens no other sockets is the matter of test_egress.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mera_edge.sample import CLIP

MAIN = "from mera_edge.cli import main; main()"
MJPEG = Path(__file__).parents[2] / "benchmarks" / "mjpeg.py"
MEDIA = re.compile(
    rb"\xff\xd8\xff|\x89PNG|RIFF|ftyp|OggS|fLaC|\x1aE\xdf\xa3"  # headers of files
    rb"|[A-Za-z0-9+/_-]{200}"  # base64, or hexadecimal
    rb"|(?:-?\d+(?:\.\d+)?(?:e-?\d+)?,\s*){32}"  # numbers one after another
)


def found(data: bytes) -> bytes | None:
    """Return the parts of the data that may be audio or video."""
    match = MEDIA.search(data)
    if match:
        return match[0][:80]
    # Samples and pixels are no text.
    text = data.decode("utf-8", "ignore").encode()
    odd = len(data) - len(text) + sum(byte < 9 or 13 < byte < 32 for byte in text)
    return b"binary" if odd > 0.1 * len(data) else None


class Recorder:
    """A peer that keeps every byte that it is sent; it lets MQTT 5 clients connect."""

    def __init__(self) -> None:
        self.heard = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            peer, _ = self._server.accept()
            threading.Thread(target=self._listen, args=[peer], daemon=True).start()

    def _listen(self, peer: socket.socket) -> None:
        with peer:
            peer.sendall(b"\x20\x03\x00\x00\x00")
            while part := peer.recv(65536):
                self.heard += part


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with subprocess.Popen([sys.executable, str(MJPEG), "0"], stdout=subprocess.PIPE) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/video"
        process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def ask(port: int, path: str, events: int = 0) -> bytes:
    """Return all that is answered, headers too; of a stream so many events."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    data = str(answer.headers).encode()
    if not events:
        return data + answer.read()
    while data.count(b"data: ") < events:
        data += answer.readline()
    connection.close()
    return data


def test_no_audio_and_no_video_in_any_byte(camera: str, tmp_path: Path) -> None:
    port, broker = free_port(), Recorder()
    (tmp_path / "config.toml").write_text(
        f'camera = "{camera}"\nmic = "{CLIP}"\n'
        f'sink = ["-", "events.jsonl", "http://127.0.0.1:{port}", '
        f'"mqtt://127.0.0.1:{broker.port}?transcript=all"]\n'
        '[privacy]\ntranscript = "all"\nstate_directory = "state"\nacknowledged = true\n'
    )
    places = ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
    environment = {**os.environ, **{name: str(tmp_path / name) for name in places}}
    for name in places:
        (tmp_path / name).mkdir()
    arguments = ["run", "--config", "config.toml", "--report", "report.html"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        cwd=tmp_path,
        env=environment,
        stdout=(tmp_path / "stdout").open("wb"),
        stderr=(tmp_path / "stderr").open("wb"),
    ) as process:
        deadline = time.monotonic() + 90
        said, events = tmp_path / "stdout", tmp_path / "events.jsonl"
        while said.read_bytes().count(b'"used"') < 6 or b"see you" not in events.read_bytes():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
        paths = ("/", "/live.js", "/style.css", "/icon.svg", "/metrics", "/healthz", "/api/state")
        sent = {path: ask(port, path) for path in paths}
        sent["/events"] = ask(port, "/events", events=10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    sent["mqtt"] = broker.heard
    assert b"homeassistant" in broker.heard
    written = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    names = {Path(path).name for path in written}
    assert names == {
        *("config.toml", "events.jsonl", "report.html", "stdout", "stderr", "audit.jsonl"),
    }
    assert b"happy to see you" in written[str(tmp_path / "events.jsonl")]  # words were asked for
    assert {name: found(data) for name, data in {**written, **sent}.items() if found(data)} == {}
    for name, data in written.items():
        data.decode("utf-8")
        assert "�" not in data.decode(), name


def test_audio_and_video_would_be_found() -> None:
    with av.open(str(CLIP)) as clip:
        image = next(clip.decode(video=0)).to_ndarray(format="bgr24")
        clip.seek(0)
        samples = next(clip.decode(audio=0)).to_ndarray()
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    pcm = (samples.ravel() * 32767).astype(np.int16)
    for data in (
        jpeg,
        jpeg[20:],
        image.tobytes()[:9999],
        base64.b64encode(jpeg),
        pcm.tobytes(),
        base64.b64encode(samples.tobytes()),
        jpeg.hex().encode(),
        json.dumps(samples.ravel()[:500].tolist()).encode(),
        json.dumps(pcm.tolist()).encode(),
    ):
        assert found(data), data[:40]
