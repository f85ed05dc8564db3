"""What four rooms in one process take, against one: processor time and memory.

    python benchmarks/rooms.py [SECONDS] [TIMES]

Two ways, one room and four in turn, each in a fresh process:

* *from a clip*: every room decodes the sample for itself, in the process of the pipelines.
* *from cameras*: `mera-edge run` with an MJPEG camera per room, served on loopback from the sample
  at 10 pictures a second, and the sample's sound again and again from a file. The processes that
  capture are counted with it; the server is not.

Every room has the same budget, one of four at five answers a second. Where others take the
processor, things are left out for want of time, and the ratio says nothing: how often is shown.
What is counted begins some seconds after the start.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mera_edge.bench.replayed import Replayed
from mera_edge.bundle import Bundle
from mera_edge.runtime.clock import RealClock
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.runtime.session import Room, run_rooms
from mera_edge.runtime.strain import StrainGauge
from mera_edge.sample import CLIP
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sources.media import MediaFile

ROOMS = 4
BUDGET_MS = 50
SETTLE_S = 6.0

SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import cv2
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
media, jpegs = MediaFile(CLIP, sound=False), []
media.open()
while not media.ended:
    if picture := media.poll(len(jpegs) / 10).picture:
        jpegs.append(cv2.imencode(".jpg", picture.image)[1].tobytes())
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while True:
            data = jpegs[int(time.time() * 10) % len(jpegs)]
            head = f"--frame\\r\\nContent-Type: image/jpeg\\r\\nContent-Length: {len(data)}"
            self.wfile.write(head.encode() + b"\\r\\n\\r\\n" + data + b"\\r\\n")
            time.sleep(0.1)
    def log_message(self, *arguments):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
"""


def play(seconds: float, rooms: int) -> None:
    """Be the process that plays the clip in every room."""
    bundle, strain = Bundle.open(), StrainGauge()
    all_rooms = []
    for number in range(1, rooms + 1):
        pipeline = Pipeline(bundle, BUDGET_MS, strain)
        pipeline.warm_up()
        all_rooms.append(Room(pipeline, [Replayed(CLIP, for_s=seconds)], f"room {number}"))
    run_rooms(all_rooms, RealClock(), [JsonLines("-")], threading.Event())


def measured(command: list[str], seconds: float) -> dict[str, float]:
    """Return what a command and its children take, from `SETTLE_S` on."""
    with tempfile.TemporaryFile("w+") as events:
        process = subprocess.Popen(command, stdout=events, stderr=subprocess.DEVNULL)
        time.sleep(SETTLE_S)
        before = cpu_s(process.pid)
        time.sleep(seconds)
        taken = {"cpu_s": cpu_s(process.pid) - before, "pss_mb": pss_mb(process.pid)}
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        events.seek(0)
        ticks = [json.loads(line) for line in events if "latency" in line]
    left_out = sum(bool(tick["latency"].get("skipped")) for tick in ticks)
    return taken | {"left_out": left_out / len(ticks), "events": float(len(ticks))}


def tree(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(int(child) for child in children)]


def cpu_s(process: int) -> float:
    fields = [Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split() for p in tree(process)]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def pss_mb(process: int) -> float:
    rollups = [Path(f"/proc/{p}/smaps_rollup").read_text() for p in tree(process)]
    return sum(int(text.partition("\nPss:")[2].split()[0]) for text in rollups) / 1024


def long_sound(path: Path, seconds: float) -> None:
    media = MediaFile(CLIP, picture=False)
    media.open()
    samples = media.poll(float("inf")).sounds[0].samples
    times = int(seconds * 16_000 / len(samples)) + 1
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.tile((samples * 32767).astype("<i2"), times).tobytes())


def compare(name: str, make: Callable[[int], list[str]], seconds: float, times: int) -> None:
    found: dict[int, list[dict[str, float]]] = {1: [], ROOMS: []}
    for _ in range(times):
        for rooms, results in found.items():
            results.append(measured(make(rooms), seconds))
            print(name, rooms, results[-1], file=sys.stderr, flush=True)
    for key, what, scale in (
        ("cpu_s", "processor, % of a core", 100 / seconds),
        ("pss_mb", "PSS, MB", 1),
        ("events", "answers", 1),
        ("left_out", "with something left out, % of them", 100),
    ):
        one, four = (statistics.median(run[key] for run in found[n]) * scale for n in (1, ROOMS))
        ratio = f"{four / one:.2f}" if one else ""
        print(f"| {name} | {what} | {one:.1f} | {four:.1f} | {ratio} |", flush=True)


def main(seconds: float, times: int) -> None:
    print("| | | one room | four rooms | ratio |\n| --- | --- | --- | --- | --- |")
    whole_s = seconds + 2 * SETTLE_S
    compare(
        "from a clip",
        lambda rooms: [sys.executable, __file__, "--play", str(whole_s), str(rooms)],
        seconds,
        times,
    )
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    port = int(server.stdout.readline()) if server.stdout else 0
    with tempfile.TemporaryDirectory() as place:
        sound = Path(place) / "sound.wav"
        long_sound(sound, whole_s)
        run = [sys.executable, "-c", "from mera_edge.cli import main; main()", "run"]
        run += ["--mic", str(sound), "--budget-ms", str(BUDGET_MS), "--sink", "-"]
        # Other names, or it would be one camera in four rooms.
        cameras = [f"--camera=http://127.0.0.1:{port}/{number}" for number in range(ROOMS)]
        compare("from cameras", lambda rooms: run + cameras[:rooms], seconds, times)
    server.kill()
    print(f"\nMedians of {times} runs of {seconds:.0f} s.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--play"]:
        play(float(sys.argv[2]), int(sys.argv[3]))
    else:
        main(
            *(
                convert(text)
                for convert, text in zip((float, int), sys.argv[1:] or ("30", "3"), strict=True)
            )
        )
