"""What four rooms in one process take, against one: processor time and memory.

    python benchmarks/rooms.py [CLIP] [SECONDS] [TIMES]

Every room plays the clip in real time, again and again, with its own decoder and its own pipeline;
the models are shared. One room and four take turns, each in a fresh process. What is counted
begins after warm-up. Processor time is that of the whole process, decoding included; memory is
what it has at the end.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from mera_edge.bench.replayed import Replayed
from mera_edge.bench.usage import Usage
from mera_edge.bundle import Bundle
from mera_edge.events import EmotionEvent, Summary
from mera_edge.runtime.clock import RealClock
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.runtime.session import Room, run_rooms
from mera_edge.runtime.strain import StrainGauge
from mera_edge.sample import CLIP

ROOMS = 4
BUDGET_MS = 1000
"""So much that nothing is left out for want of time: one room and four do the same for each."""


class Count:
    """A sink that counts what was answered, and with what."""

    def __init__(self) -> None:
        self.events: Counter[str | None] = Counter()
        self.skipped: Counter[str] = Counter()
        self.faces = 0

    def publish(self, event: EmotionEvent) -> None:
        self.events[event.room] += 1
        self.skipped.update(event.latency.skipped)
        self.faces += event.modalities["face"].state == "used"

    def close(self, summary: Summary) -> None:
        pass


def child(clip: Path, seconds: float, rooms: int) -> None:
    bundle, strain, count = Bundle.open(), StrainGauge(), Count()
    all_rooms = []
    for number in range(1, rooms + 1):
        pipeline = Pipeline(bundle, BUDGET_MS, strain)
        pipeline.warm_up()
        all_rooms.append(Room(pipeline, [Replayed(clip, for_s=seconds)], f"room {number}"))
    began_s = time.process_time()
    run_rooms(all_rooms, RealClock(), [count], threading.Event())
    usage = Usage.now()
    facts = {
        "cpu_s": time.process_time() - began_s,
        "pss_mb": usage.pss_mb,
        "rss_mb": usage.rss_mb,
        "events": min(count.events.values()),
        "faces": count.faces / count.events.total(),
        "skipped": dict(count.skipped),
    }
    print(json.dumps(facts))


def main(clip: Path, seconds: float, times: int) -> None:
    found: dict[int, list[dict]] = {1: [], ROOMS: []}
    for _ in range(times):
        for rooms, results in found.items():
            command = [sys.executable, __file__, str(clip), str(seconds), "0", str(rooms)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            results.append(json.loads(done.stdout))
            print(rooms, results[-1], file=sys.stderr, flush=True)
    print("| | one room | four rooms | ratio | goal |")
    print("| --- | --- | --- | --- | --- |")
    goals = {"cpu_s": ("processor time, s", "3.5"), "pss_mb": ("PSS, MB", "1.6")}
    rest = {"rss_mb": ("RSS, MB", ""), "events": ("answers per room", "")}
    for key, (name, goal) in (goals | rest).items():
        one, four = (statistics.median(run[key] for run in found[n]) for n in (1, ROOMS))
        print(f"| {name} | {one:.1f} | {four:.1f} | {four / one:.2f} | {goal} |")
    print(f"\nMedians of {times} runs of {seconds:.0f} s.")


if __name__ == "__main__":
    given = sys.argv[1:]
    where = Path(given[0]) if given else CLIP
    long = float(given[1]) if len(given) > 1 else 36.0
    if len(given) > 3:
        child(where, long, int(given[3]))
    else:
        main(where, long, int(given[2]) if len(given) > 2 else 3)
