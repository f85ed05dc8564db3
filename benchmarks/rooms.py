"""CPU time and memory of four rooms in one process, compared with one.

    python benchmarks/rooms.py [SECONDS] [TIMES]

One room and four in turn, each in a fresh process, two ways:

* *from a clip*: every room decodes the sample for itself, in the process of the pipelines.
* *from cameras*: every room has an MJPEG camera, served on loopback from the sample at 10 pictures
  a second, and the sample's sound from a file. The processes that capture are counted with it; the
  server is not.

The budget is so large that no stage is skipped for lack of time: every event takes the same work.
Under load from other processes whole ticks are skipped, so time is given per event: four rooms at
3.5 times the cost of one would be a ratio of 0.875. Counting starts some seconds after the start.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from mera_edge.bench.replayed import Replayed
from mera_edge.bundle import Bundle
from mera_edge.host.load import LoadMonitor
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.service.clock import RealClock
from mera_edge.service.run_loop import Room, run_rooms
from mera_edge.service.signals import stop_on_signals
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sources.base import Source
from mera_edge.sources.camera import Camera
from mera_edge.sources.media import MediaFile

ROOMS = 4
BUDGET_MS = 1000
SETTLE_S = 6.0

MJPEG = Path(__file__).with_name("mjpeg.py")


def play(seconds: float, rooms: int, port: int) -> None:
    """Run the process with the rooms; the port is that of the cameras, 0 for the clip."""
    bundle, load = Bundle.open(), LoadMonitor()
    all_rooms = []
    with tempfile.TemporaryDirectory() as place:
        sound = Path(place) / "sound.wav"
        long_sound(sound, seconds)
        for number in range(1, rooms + 1):
            pipeline = Pipeline(bundle, Live(load, BUDGET_MS, rooms))
            pipeline.warm_up()
            sources: list[Source] = [Replayed(CLIP, for_s=seconds)]
            if port:
                camera = Camera(f"http://127.0.0.1:{port}/{number}")
                sources = [camera, MediaFile(sound, video=False)]
            all_rooms.append(Room(pipeline, sources, f"room {number}"))
        with stop_on_signals() as stop:
            run_rooms(all_rooms, RealClock(), [JsonLines("-")], stop)


def measured(command: list[str], seconds: float) -> dict[str, float]:
    """Return the CPU time and memory of a command and its children after `SETTLE_S`."""
    with tempfile.NamedTemporaryFile("w") as events:
        process = subprocess.Popen(command, stdout=events, stderr=subprocess.DEVNULL)
        time.sleep(SETTLE_S)
        cpu_before_s, answers_before = cpu_s(process.pid), answers(events.name)
        time.sleep(seconds)
        taken = {
            "cpu_ms": 1000 * (cpu_s(process.pid) - cpu_before_s),
            "pss_mb": pss_mb(process.pid),
            "answers": float(answers(events.name) - answers_before),
        }
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    return taken | {"cpu_ms": taken["cpu_ms"] / taken["answers"]}


def answers(events: str) -> int:
    return Path(events).read_text().count("\n")


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
    media = MediaFile(CLIP, video=False)
    media.open()
    samples = media.poll(float("inf")).audio[0].samples
    times = int(seconds * 16_000 / len(samples)) + 1
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.tile((samples * 32767).astype("<i2"), times).tobytes())


def compare(name: str, command: list[str], seconds: float, times: int) -> None:
    found: dict[int, list[dict[str, float]]] = {1: [], ROOMS: []}
    for _ in range(times):
        for rooms, results in found.items():
            results.append(measured([*command, str(rooms)], seconds))
            print(name, rooms, results[-1], file=sys.stderr, flush=True)
    for key, what in (
        ("cpu_ms", "processor time per answer, ms"),
        ("answers", "answers"),
        ("pss_mb", "PSS, MB"),
    ):
        one, four = (statistics.median(run[key] for run in found[n]) for n in (1, ROOMS))
        print(f"| {name} | {what} | {one:.1f} | {four:.1f} | {four / one:.2f} |", flush=True)


def main(seconds: float, times: int) -> None:
    print("| | | one room | four rooms | ratio |\n| --- | --- | --- | --- | --- |")
    server = subprocess.Popen(
        [sys.executable, str(MJPEG), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    served = server.stdout.readline().strip() if server.stdout else ""
    for name, port in (("from a clip", "0"), ("from cameras", served)):
        command = [sys.executable, __file__, "--play", str(seconds + 3 * SETTLE_S), port]
        compare(name, command, seconds, times)
    server.kill()
    print(f"\nMedians of {times} runs of {seconds:.0f} s.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--play"]:
        play(float(sys.argv[2]), int(sys.argv[4]), int(sys.argv[3]))
    else:
        given = sys.argv[1:]
        main(float(given[0]) if given else 30.0, int(given[1]) if len(given) > 1 else 3)
