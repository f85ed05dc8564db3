"""Behaviour of a live run when its sinks hang, fail or are moved, and when it is restarted.

    python benchmarks/service.py [TIMES] [REPORT.md]

Real processes of `mera-edge run` on the bundled sample, TIMES (20) of each kind:

* *restarts*: terminated (SIGTERM) or killed (SIGKILL) at a random moment, including loading, while
the reader of stdout sleeps, a named pipe has no reader and stderr is full; all write the same file.
* *hindrances*: one at a time beside a file, until SIGTERM. * *rotation*: the file is repeatedly
moved and SIGUSR1 sent. * *a full disk*: the file cannot grow (RLIMIT_FSIZE) for five seconds.
* *a new configuration*: one of two rooms is replaced by SIGHUP.

An event is lost if the sequence numbers of its run have a gap, or the summary counts more events
than were written. A line is broken if it is not JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from mera_edge.sample import CLIP

RUN = [sys.executable, "-c", "from mera_edge.cli import main; main()", "run"]
SOURCES = ["--camera", str(CLIP), "--mic", str(CLIP)]
LIMIT_S = 60.0


@dataclass
class Found:
    """Statistics of the lines that were read."""

    events: int = 0
    lost: int = 0
    broken: int = 0
    summaries: int = 0
    gap_s: float = 0.0
    """The longest time between two events of a run and room."""


@dataclass
class Ends:
    """Exit statistics of runs."""

    codes: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)

    def end(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        began = time.monotonic()
        process.send_signal(number)
        self.codes.append(process.wait(LIMIT_S))
        self.took_s.append(time.monotonic() - began)

    @property
    def words(self) -> str:
        codes = ", ".join(f"{self.codes.count(code)} × {code}" for code in sorted({*self.codes}))
        return f"{max(self.took_s):.2f} | {codes}"


def examine(*files: Path) -> Found:
    """Examine the written files, in this order."""
    found = Found()
    numbers: dict[str, list[int]] = defaultdict(list)
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    run = ""
    for line in b"".join(file.read_bytes() for file in files).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            found.broken += 1
            continue
        if "sequence" in row:
            run = row["run"]
            numbers[run].append(row["sequence"])
            at = datetime.fromisoformat(row["at"].replace("Z", "+00:00")).timestamp()
            times[run, row.get("room", "")].append(at)
        else:
            found.summaries += 1
            found.lost += row["events"] - (numbers[run][-1] + 1 if numbers[run] else 0)
    found.events = sum(len(of_run) for of_run in numbers.values())
    found.lost += sum(of_run[-1] + 1 - len(set(of_run)) for of_run in numbers.values() if of_run)
    gaps = [b - a for of_run in times.values() for a, b in pairwise(of_run)]
    found.gap_s = max(gaps, default=0.0)
    return found


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("it did not come")
        time.sleep(0.02)


def full_pipe() -> tuple[int, int]:
    """Return both ends of a full pipe."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return reader, writer


@contextlib.contextmanager
def running(
    *arguments: object, stdout: int = subprocess.DEVNULL, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*RUN, *map(str, arguments)], stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def restarts(place: Path, times: int, number: signal.Signals) -> str:
    """Restart repeatedly at random moments."""
    file, fifo = place / f"{number.name}.jsonl", place / "nobody"
    if not fifo.exists():
        os.mkfifo(fifo)
    (_, stdout), (_, stderr) = full_pipe(), full_pipe()
    moments, ends = random.Random(0), Ends()
    before = b""
    for index in range(times):
        sinks = ("--sink", file, "--sink", "-", "--sink", fifo)
        with running(*SOURCES, *sinks, stdout=stdout, stderr=stderr) as process:
            if index % 4:  # else while it loads
                seen = lines(file)
                wait_for(lambda: lines(file) > seen)  # noqa: B023
            time.sleep(moments.uniform(0.5, 3.0))
            ends.end(process, number)
        after = file.read_bytes() if file.exists() else b""
        if not after.startswith(before):
            raise RuntimeError(f"{file} has lost what it had")
        before = after
    found = examine(file)
    return (
        f"| restarts by {number.name} | {times} | {found.events} | {found.lost} | {found.broken} "
        f"| {found.gap_s:.2f} | {ends.words} |"
    )


def hindrance(place: Path, times: int, name: str) -> str:
    """Run for some seconds with a sink that hangs, is full or is missing."""
    fifo = place / "asleep"
    if not fifo.exists():
        os.mkfifo(fifo)
    all_found, ends = [], Ends()
    for index in range(times):
        file = place / f"{name}{index}.jsonl".replace(" ", "-").replace("/", "-")
        reader, full = full_pipe()
        streams: dict[str, int] = {}
        more: tuple[object, ...] = ()
        if name == "stdout's reader sleeps":
            streams, more = {"stdout": full}, ("--sink", "-")
        elif name == "a named pipe without a reader":
            more = ("--sink", fifo)
        elif name == "a disk that is full (/dev/full)":
            more = ("--sink", "/dev/full")
        elif name == "stderr's reader sleeps":
            streams = {"stderr": full}
        elif name == "stderr's reader is gone":
            os.close(reader)
            streams = {"stderr": full}
        elif name == "stderr on a full disk":
            streams = {"stderr": os.open("/dev/full", os.O_WRONLY)}
        with running(*SOURCES, "--sink", file, *more, **streams) as process:
            wait_for(lambda: lines(file) > 15)  # noqa: B023
            ends.end(process, signal.SIGTERM)
        all_found.append(examine(file))
    return (
        f"| {name} | {times} | {sum(f.events for f in all_found)} "
        f"| {sum(f.lost for f in all_found)} | {sum(f.broken for f in all_found)} "
        f"| {max(f.gap_s for f in all_found):.2f} | {ends.words} |"
    )


HINDRANCES = (
    "nothing",
    "stdout's reader sleeps",
    "a named pipe without a reader",
    "a disk that is full (/dev/full)",
    "stderr's reader sleeps",
    "stderr's reader is gone",
    "stderr on a full disk",
)


def stopped_terminal(times: int) -> str:
    ends = Ends()
    for _ in range(times):
        master, terminal = pty.openpty()
        with running(*SOURCES, stdout=terminal, stderr=terminal) as process:
            shown = b""
            while b"compute" not in shown:
                shown += os.read(master, 4096)
            time.sleep(2)
            ends.end(process, signal.SIGTERM)
        os.close(master)
        os.close(terminal)
    return f"| a terminal that is stopped | {times} | | | | | {ends.words} |"


def rotation(place: Path, times: int) -> str:
    file, ends, moved = place / "rotated.jsonl", Ends(), []
    with running(*SOURCES, "--sink", file) as process:
        for index in range(times):
            wait_for(lambda: lines(file) > 2)
            moved.append(place / f"rotated.{index}")
            file.rename(moved[-1])
            process.send_signal(signal.SIGUSR1)
            wait_for(file.exists)
        ends.end(process, signal.SIGTERM)
    found = examine(*moved, file)
    return (
        f"| moved away, SIGUSR1 | {times} | {found.events} | {found.lost} | {found.broken} "
        f"| {found.gap_s:.2f} | {ends.words} |"
    )


def full_disk(place: Path) -> str:
    file, ends = place / "full.jsonl", Ends()
    with running(*SOURCES, "--sink", file) as process:
        wait_for(lambda: lines(file) > 5)
        # In the middle of a line.
        limit = file.stat().st_size + 500
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, -1))
        time.sleep(5)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        size = file.stat().st_size
        wait_for(lambda: file.stat().st_size > size + 20_000)
        ends.end(process, signal.SIGTERM)
    found = examine(file)
    return (
        f"| its own disk full for 5 s | 1 | {found.events} | {found.lost} | {found.broken} "
        f"| {found.gap_s:.2f} | {ends.words} |"
    )


def new_configuration(place: Path, times: int) -> str:
    file, config, ends = place / "rooms.jsonl", place / "config.toml", Ends()

    def rooms(other: str) -> str:
        tables = (("hall", str(CLIP)), ("den", f"http://127.0.0.1:9/{other}"))
        return f'sink = "{file}"\n' + "".join(
            f'[[room]]\nname = "{name}"\ncamera = "{camera}"\n' for name, camera in tables
        )

    config.write_text(rooms("first"))
    with running("--config", config) as process:
        for index in range(times):
            seen = lines(file)
            wait_for(lambda: lines(file) > seen + 10)  # noqa: B023
            config.write_text(rooms(f"next{index}"))
            process.send_signal(signal.SIGHUP)
        ends.end(process, signal.SIGTERM)
    found = examine(file)
    return (
        f"| one of two rooms replaced, SIGHUP | {times} | {found.events} | {found.lost} "
        f"| {found.broken} | {found.gap_s:.2f} | {ends.words} |"
    )


def main(times: int, report: Path | None) -> None:
    few = max(1, times // 5)
    rows = [
        "| what | times | events | lost | broken lines | longest gap, s "
        "| from the signal to the end, s, at most | exit codes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory(prefix="mera-edge-service-") as name:
        place = Path(name)
        steps: list[Callable[[], str]] = [
            lambda: restarts(place, times, signal.SIGTERM),
            lambda: restarts(place, times, signal.SIGKILL),
            *(lambda what=what: hindrance(place, few, what) for what in HINDRANCES),  # type: ignore[misc]
            lambda: stopped_terminal(few),
            lambda: rotation(place, few),
            lambda: full_disk(place),
            lambda: new_configuration(place, few),
        ]
        for step in steps:
            rows.append(step())
            print(rows[-1], file=sys.stderr, flush=True)
    load = f"Load of the machine at the end: {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores."
    text = "\n".join([*rows, "", load]) + "\n"
    print(text)
    if report is not None:
        report.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 20,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
