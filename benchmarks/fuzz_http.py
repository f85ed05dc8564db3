"""Fuzz test of the web server: no request may crash it, change switches, or leak information.

    python benchmarks/fuzz_http.py [REQUESTS] [SEED]

The server runs in its own process, requires a token, and gets five events a second.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sample_events import again, recorded

from mera_edge.config import SinkSettings
from mera_edge.service.control import Control, Switches
from mera_edge.sinks.http import HttpSink

TOKEN = "a-token-that-nobody-may-see"
GOOD = re.compile(rb"HTTP/1\.1 (200|4\d\d|503) ")
LEAKS = (b"Traceback", b"root:", b"site-packages", b".py", TOKEN.encode())
PATHS = ("/", "/events", "/api/state", "/api/switches", "/metrics", "/healthz", "/live.js")


def serve(token_file: str) -> None:
    """Serve until stdin is closed, then report the state of the switches."""
    control = Control()
    control.use(["hall"])
    sink = HttpSink(SinkSettings(to="http://127.0.0.1:0", token_file=token_file), control)
    print(sink.url, flush=True)
    events, os_stdin = again(recorded()), sys.stdin
    os.set_blocking(os_stdin.fileno(), False)
    while os_stdin.buffer.raw.read(1) != b"":
        sink.publish(next(events))
        time.sleep(0.2)
    print(control.of("hall") == Switches(), flush=True)


def spoiled_json(rng: random.Random) -> bytes:
    values = [None, 1, 1e999, -1, "hall", "x" * 3000, [], {}, "\ud800", 10**400]
    body = {
        rng.choice(["room", "paused", "camera", "microphone", "__class__", ""]): rng.choice(values)
        for _ in range(rng.randrange(5))
    }
    text = json.dumps(body)
    kind = rng.randrange(5)
    if kind == 0:
        text = text[: rng.randrange(len(text))]
    elif kind == 1:
        text = "[" * rng.randrange(1, 2000)
    elif kind == 2:
        text = text.replace('"', "'")
    return text.encode("utf-8", "surrogatepass")


def head(rng: random.Random, method: str, path: str, *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {rng.choice(['localhost', '127.0.0.1', 'evil'])}"]
    lines += [*more, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass")


def noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 3000)) + b"\r\n\r\n"


def mutated(rng: random.Random) -> bytes:
    data = bytearray(head(rng, "GET", rng.choice(PATHS), f"Authorization: Bearer {TOKEN[:-1]}"))
    for _ in range(rng.randrange(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data) + b"\r\n\r\n"


def hostile_path(rng: random.Random) -> bytes:
    part = rng.choice(["../", "%2e%2e/", "..%2f", "//", "%00", "\\", ";", "?", "%ff", "x" * 500])
    path = "/" + part * rng.randrange(1, 30) + rng.choice(["etc/passwd", "proc/self/environ", ""])
    return head(rng, rng.choice(["GET", "HEAD", "DELETE", "TRACE", "PATCH"]), path)


def headers(rng: random.Random) -> bytes:
    more = [
        rng.choice(
            [
                "Content-Length: -1",
                "Content-Length: 99999999999999999999",
                "Content-Length: 5",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: xchunked",
                f"X: {'y' * rng.randrange(30_000)}",
                "Host: other",
                "Upgrade: websocket",
                "Expect: 100-continue",
                "Range: bytes=0-9999999",
                f"Cookie: {rng.randbytes(20).hex()}",
                "Authorization: Basic ////",
                f"Last-Event-ID: {rng.random()}",
                "X-Forwarded-For: 127.0.0.1",
                "X-Ingress-Path: /../../",
            ]
        )
        for _ in range(rng.randrange(1, 60))
    ]
    return head(rng, rng.choice(["GET", "POST"]), rng.choice(PATHS), *more) + b"zz\r\n0\r\n\r\n"


def bodies(rng: random.Random) -> bytes:
    body = spoiled_json(rng)
    more = [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    if rng.random() < 0.7:  # behind the token, where bodies are read; none is a good change
        more.append(f"Authorization: Bearer {TOKEN}")
    if rng.random() < 0.3:
        more.append("Origin: http://evil.example")
    return head(rng, "POST", "/api/switches", *more) + body


def half(rng: random.Random) -> bytes:
    data = bodies(rng)
    return data[: rng.randrange(len(data))]


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    noise, mutated, hostile_path, headers, bodies, half,
)  # fmt: skip


def answer(port: int, data: bytes, whole: bool) -> bytes:
    """Return the beginning of what is answered; nothing where the server hangs up or waits."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        try:
            peer.sendall(data)
            if not whole:
                peer.shutdown(socket.SHUT_WR)
            peer.settimeout(10 if whole else 1)
            return peer.recv(16_384)
        except OSError:
            return b""


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def main() -> None:
    requests, seed = (int(value) for value in (*sys.argv[1:], 10_000, 1)[:2])
    rng, counts, bad = random.Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as place:
        token, errors = Path(place) / "token", Path(place) / "errors"
        token.write_text(TOKEN)
        command = [sys.executable, __file__, "--serve", str(token)]
        with (
            errors.open("wb") as stderr,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            ) as server,
        ):
            port = int(server.stdout.readline().decode().rstrip("/\n").rpartition(":")[2])
            began, before_mb = time.monotonic(), 0.0
            for number in range(requests):
                make = rng.choice(KINDS)
                data = make(rng)
                found = answer(port, data, make is not half)
                status = found.split(b" ")[1].decode("latin-1") if found[:5] == b"HTTP/" else "none"
                counts[f"{make.__name__} {status}"] += 1
                if (found and not GOOD.match(found)) or any(leak in found for leak in LEAKS):
                    bad.append((data[:200], found[:200]))
                if number == requests // 10:
                    before_mb = resident_mb(server.pid)
                if number % 500 == 499:
                    healthy = answer(port, head(random.Random(2), "GET", "/healthz"), True)
                    if not GOOD.match(healthy):
                        bad.append((b"healthz", healthy[:200]))
            after_mb = resident_mb(server.pid)
            files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
            server.stdin.close()
            untouched = server.stdout.readline().decode().strip()
        said = errors.read_text(errors="replace")
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    print(
        f"{requests} requests, seed {seed}, {time.monotonic() - began:.0f} s; bad {len(bad)}; "
        f"resident {before_mb:.1f} -> {after_mb:.1f} MB, {files} files open; switches untouched: "
        f"{untouched}; exit code {server.returncode}; stderr {said[-700:]!r}"
    )
    for pair in bad[:10]:
        print(*pair)
    raise SystemExit(bool(bad or said or server.returncode))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
