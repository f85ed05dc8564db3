"""Do HTTP readers delay events? A live run with and without readers, alternating.

    python benchmarks/http_readers.py [READERS] [TURNS] [SECONDS]

The run sees an MJPEG camera (mjpeg.py); the readers are another process. Of every tick its time is
noted, and without what its thread waited for a core, as the kernel counts it: that has other
processes out, as the readers, which are elsewhere in a house, and keeps what the server in this
process does to it. The seconds in which the readers connect are told apart.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PLACE = Path(__file__).parent
CONNECT_S, TICKS_PER_S = 5, 5


async def read(port: int, readers: int, seconds: float) -> list[int]:
    """Return how many events each reader got."""

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        events, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            line = await asyncio.wait_for(reader.readline(), 30)
            events += line.startswith(b"data: ")
        writer.close()
        return events

    return await asyncio.gather(*(one() for _ in range(readers)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def waited_s() -> float:
    """Return how long this thread has waited for a core so far."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def run(times: str, *arguments: str) -> None:
    """Run mera-edge, and note of every tick what it took and waited for a core, in ms."""
    from mera_edge.cli import main as mera_edge
    from mera_edge.service.run_loop import Room

    tick, file = Room.tick, Path(times).open("w", buffering=1)  # noqa: SIM115

    def noted(*given: Any) -> Any:
        began, waited = time.perf_counter(), waited_s()
        result = tick(*given)
        file.write(f"{1e3 * (time.perf_counter() - began)} {1e3 * (waited_s() - waited)}\n")
        return result

    Room.tick = noted
    mera_edge(["run", *arguments])


def noted(times: Path) -> np.ndarray:
    """Return the ticks so far, ``[n, 2]``: what they took, and without waiting for a core."""
    lines = times.read_text().split("\n")[:-1]
    both = np.array([[float(part) for part in line.split()] for line in lines]).reshape(-1, 2)
    return np.stack([both[:, 0], both[:, 0] - both[:, 1]], axis=1)


def main() -> None:
    readers, turns, seconds = (
        int(value) for value in (*sys.argv[1:], *(200, 4, 30)[len(sys.argv) - 1 :])
    )
    with tempfile.TemporaryDirectory() as place:
        times, port = Path(place) / "times", free_port()
        camera = subprocess.Popen(
            [sys.executable, str(PLACE / "mjpeg.py"), "0"], stdout=subprocess.PIPE, text=True
        )
        url = f"http://127.0.0.1:{int(camera.stdout.readline())}/video"
        process = subprocess.Popen(
            [
                *(sys.executable, __file__, "run", str(times), "--camera", url, "--mic", "none"),
                *("--sink", f"http://127.0.0.1:{port}", "--budget-ms", "2000"),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            while not times.exists() or len(noted(times)) < 25:
                time.sleep(0.5)
            took: dict[int, list[np.ndarray]] = {0: [], readers: []}
            connecting = []
            for _ in range(turns):
                for count in took:
                    first, heard = len(noted(times)), ""
                    if count:
                        how = f"read({port}, {count}, {seconds + CONNECT_S})"
                        code = f"import asyncio, http_readers as h; print(asyncio.run(h.{how}))"
                        told = subprocess.run(
                            [sys.executable, "-c", code],
                            cwd=PLACE, capture_output=True, text=True, check=True,
                        )  # fmt: skip
                        got = json.loads(told.stdout)
                        heard = f", each got {min(got)} to {max(got)}"
                    else:
                        time.sleep(seconds + CONNECT_S)
                    ticks = noted(times)[first:]
                    connecting += [ticks[: CONNECT_S * TICKS_PER_S]] * bool(count)
                    took[count].append(ticks[CONNECT_S * TICKS_PER_S :])
                    print(f"{count} readers{heard}; {figures(took[count][-1:])}", flush=True)
            for count, each in took.items():
                print(f"all with {count} readers: {figures(each)}")
            print(f"while {readers} connect: {figures(connecting)}")
        finally:
            process.terminate()
            process.wait()
            camera.kill()


def figures(parts: list[np.ndarray]) -> str:
    ticks = np.concatenate(parts)
    (p50, own50), (p95, own95) = np.percentile(ticks, [50, 95], axis=0)
    return (
        f"{len(ticks)} ticks: p50 {p50:.1f}, p95 {p95:.1f} ms; without waiting for a core "
        f"p50 {own50:.1f}, p95 {own95:.1f} ms"
    )


if __name__ == "__main__":
    run(*sys.argv[2:]) if sys.argv[1:2] == ["run"] else main()
