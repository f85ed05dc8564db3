"""A simulated network camera with sound on loopback, which repeats a clip in real time.

    python benchmarks/network_camera.py PORT [CLIP]

MPEG-TS over HTTP, the clip's own H.264 and AAC, one connection or several. Port 0 takes any that
is free. The port is printed as soon as it answers.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av

from mera_edge.sample import CLIP

_PAUSE_S = Fraction(1, 5)
"""Between two rounds: the first pictures of a clip may be decoded before its beginning."""


def live(clip: Path, times: int = 100_000) -> Iterator[tuple[float, bytes]]:
    """Yield packets of a transport stream with their send times, in seconds from the start."""
    sent, begins_s = io.BytesIO(), Fraction(0)
    with av.open(sent, "w", format="mpegts") as output:
        tracks = {}
        for _ in range(times):
            ends_s = begins_s
            with av.open(str(clip)) as source:
                for stream in (*source.streams.video, *source.streams.audio):
                    if stream.type not in tracks:
                        tracks[stream.type] = output.add_stream_from_template(stream)
                for packet in source.demux(*source.streams.video, *source.streams.audio):
                    if packet.dts is None:
                        continue
                    at_s = begins_s + packet.dts * packet.time_base
                    ends_s = max(ends_s, at_s + (packet.duration or 0) * packet.time_base)
                    shift = round(begins_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = tracks[packet.stream.type]
                    output.mux(packet)
                    if piece := sent.getvalue():
                        yield float(at_s), piece
                        sent.seek(0)
                        sent.truncate()
            begins_s = ends_s + _PAUSE_S


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the stream."""

    clip = CLIP

    def do_GET(self) -> None:
        """Send it."""
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        began_s = time.monotonic()
        for at_s, piece in live(self.clip):
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            try:
                self.wfile.write(piece)
            except OSError:
                return

    def log_message(self, *arguments: object) -> None:
        """Suppress the log."""


def served(port: int, clip: Path) -> ThreadingHTTPServer:
    """Create a server of the clip, not yet started."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Clip", (Handler,), {"clip": clip}))
    server.daemon_threads = True
    return server


if __name__ == "__main__":
    server = served(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else CLIP)
    print(server.server_port, flush=True)
    server.serve_forever()
