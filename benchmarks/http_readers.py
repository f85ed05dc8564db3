"""Does anybody who reads events delay an answer? A live run with and without readers, in turns.

    python benchmarks/http_readers.py [READERS] [TURNS] [SECONDS]

The run sees an MJPEG camera (mjpeg.py); the readers are another process. Compute times are those of
the events themselves; a busy machine disturbs both halves alike.
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

import numpy as np

PLACE = Path(__file__).parent


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


def main() -> None:
    readers, turns, seconds = (
        int(value) for value in (*sys.argv[1:], *(200, 4, 30)[len(sys.argv) - 1 :])
    )
    with tempfile.TemporaryDirectory() as place:
        file, port = Path(place) / "events.jsonl", free_port()
        camera = subprocess.Popen(
            [sys.executable, str(PLACE / "mjpeg.py"), "0"], stdout=subprocess.PIPE, text=True
        )
        url = f"http://127.0.0.1:{int(camera.stdout.readline())}/video"
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "mera_edge", "run", "--camera", url, "--mic", "none"),
                *("--sink", str(file), "--sink", f"http://127.0.0.1:{port}", "--budget-ms", "2000"),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            while not file.exists() or file.read_text().count("\n") < 25:
                time.sleep(0.5)
            took: dict[int, list[float]] = {0: [], readers: []}
            for _ in range(turns):
                for count in took:
                    first = file.read_text().count("\n")
                    if count:
                        how = f"read({port}, {count}, {seconds})"
                        code = f"import asyncio, http_readers as h; print(asyncio.run(h.{how}))"
                        told = subprocess.run(
                            [sys.executable, "-c", code],
                            cwd=PLACE, capture_output=True, text=True, check=True,
                        )  # fmt: skip
                        got = json.loads(told.stdout)
                    else:
                        time.sleep(seconds)
                    events = [json.loads(line) for line in file.read_text().splitlines()[first:]]
                    ms = [event["latency"]["compute_ms"] for event in events]
                    took[count] += ms
                    heard = f", each got {min(got)} to {max(got)}" if count else ""
                    print(
                        f"{count} readers: {len(ms)} events{heard}; compute p50 "
                        f"{np.percentile(ms, 50):.1f}, p95 {np.percentile(ms, 95):.1f} ms",
                        flush=True,
                    )
            for count, ms in took.items():
                p50, p95 = np.percentile(ms, [50, 95])
                print(f"all with {count} readers: n {len(ms)}, p50 {p50:.1f}, p95 {p95:.1f} ms")
        finally:
            run.terminate()
            run.wait()
            camera.kill()


if __name__ == "__main__":
    main()
