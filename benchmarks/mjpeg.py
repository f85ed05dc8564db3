"""An MJPEG camera on loopback that repeats the sample's pictures, ten per second.

    python benchmarks/mjpeg.py PORT

Port 0 takes any that is free. The port is printed as soon as it answers.
"""

import itertools
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile


class Camera(BaseHTTPRequestHandler):
    jpegs: list[bytes] = []  # noqa: RUF012  (filled once, before anybody asks)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while True:
            data = self.jpegs[int(time.time() * 10) % len(self.jpegs)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
            self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
            time.sleep(0.1)

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    media = MediaFile(CLIP, audio=False)
    media.open()
    # The picture of every tenth of a second is the newest: the clip may have fewer.
    for tenth in itertools.count():
        if media.ended:
            break
        if picture := media.poll(tenth / 10).frame:
            newest = cv2.imencode(".jpg", picture.image)[1].tobytes()
        Camera.jpegs.append(newest)
    media.close()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Camera)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
