"""`mera-edge run` on network cameras with sound, all its processes counted: a part of `live.py`.

The servers run on the first processor; pin this to another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rooms import pss_mb, tree

from mera_edge.sample import CLIP

SETTLE_S, MEASURED_S = 6.0, 13.0
SERVER = Path(__file__).with_name("network_camera.py")
CALL = [sys.executable, "-c", "from mera_edge.cli import main; main()"]


def figures() -> Iterator[tuple[str, float]]:
    servers = [serve(clip) for clip in (CLIP, Path(os.environ["ROOM"]))]
    try:
        people, nobody = (url for _, url in servers)
        absent = "http://127.0.0.1:9/1"
        for name, camera, mic, rooms, final in (
            ("one room", people, people, 1, False),
            ("one room, both", people, people, 1, True),
            ("four rooms", people, people, 4, False),
            ("empty room", nobody, nobody, 1, False),
            ("empty room, not heard", nobody, None, 1, False),
            ("camera that is absent", absent, None, 1, False),
        ):
            for what, value in product(camera, mic, rooms, final).items():
                yield f"{name}, {what}", value
    finally:
        for server, _ in servers:
            server.kill()


def serve(clip: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a network camera and return its address."""
    command = ["taskset", "-c", "0", sys.executable, str(SERVER), "0", str(clip)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().strip() if server.stdout else ""
    return server, f"http://127.0.0.1:{port}/1"


def product(camera: str, mic: str | None, rooms: int, final: bool) -> dict[str, float]:
    """Return processor time, in % of a core, the most memory, and what events take of a disk."""
    with tempfile.TemporaryDirectory() as place:
        config, events = Path(place) / "config.toml", Path(place) / "events.jsonl"
        recognition = "" if final else '[recognition]\nfinal = "none"\n'
        wanted = "".join(
            f'[[room]]\nname = "room {number}"\ncamera = "{camera}?{number}"\n'
            f'mic = "{f"{mic}?{number}" if mic else "none"}"\n'
            for number in range(rooms)
        )
        config.write_text(f'sink = "{events}"\n{recognition}{wanted}')
        process = subprocess.Popen(
            [*CALL, "run", "--config", str(config)], stderr=subprocess.DEVNULL
        )
        while not (events.exists() and events.read_text().count("\n") >= 5 * rooms):
            time.sleep(0.2)
        time.sleep(SETTLE_S)
        before_s, written, began_s = cpu_s(process.pid), events.stat().st_size, time.monotonic()
        memory = []
        while time.monotonic() - began_s < MEASURED_S:
            time.sleep(1.0)
            memory.append(pss_mb(process.pid))
        length_s = time.monotonic() - began_s
        worked_s, written = cpu_s(process.pid) - before_s, events.stat().st_size - written
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    return {
        "cpu": 100 * worked_s / length_s,
        "pss": max(memory),
        "MB a day": written / length_s * 86_400 / 1e6,
    }


def cpu_s(process: int) -> float:
    """Return the scheduler's account: the clock ticks of /proc/PID/stat miss short work."""
    accounts = [f for p in tree(process) for f in Path(f"/proc/{p}/task").glob("*/schedstat")]
    return sum(int(account.read_text().split()[0]) for account in accounts) / 1e9


if __name__ == "__main__":
    for name, value in figures():
        print(f"{name:40} {value:.2f}", flush=True)
