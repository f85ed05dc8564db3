"""Cost of a first run: import, start-up, real-time factor, memory, bundle size.

    python benchmarks/first_run.py [CLIP...]

Every figure is the median over whole processes, so it includes everything a user waits for.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mera_edge.bundle.load import DEFAULT
from mera_edge.sample import CLIP

RUNS = 5
CALL = [sys.executable, "-c", "from mera_edge.cli import main; main()"]


def import_ms() -> float:
    code = (
        "import time; began = time.perf_counter(); import mera_edge;"
        "print((time.perf_counter() - began) * 1000)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return float(answer.stdout)


def predict(clip: Path) -> dict[str, float]:
    """Run one process; its memory is the peak resident set size."""
    began = time.monotonic()
    process = subprocess.Popen(
        [*CALL, "predict", str(clip), "--json"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None  # noqa: S101  (a pipe was asked for)
    process.stdout.readline()
    first_s = time.monotonic() - began
    summary = json.loads(process.stdout.read().splitlines()[-1])
    _, _, usage = os.wait4(process.pid, 0)
    return {
        "first event after start, s": first_s,
        "real-time factor": summary["real_time_factor"],
        "compute p50, ms": summary["compute_ms"]["p50"],
        "compute p95, ms": summary["compute_ms"]["p95"],
        "resident memory, MB": usage.ru_maxrss / 1024,
    }


def main() -> None:
    clips = [Path(argument) for argument in sys.argv[1:]] or [CLIP]
    print("# A first run\n")
    print(f"`python benchmarks/first_run.py {' '.join(sys.argv[1:])}`\n".replace(" `", "`"))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}. ",
        end="",
    )
    print(f"Medians of {RUNS} processes each; not run on a Jetson.\n")
    size = sum(path.stat().st_size for path in DEFAULT.iterdir()) / 1e6
    print(f"* `import mera_edge`: {statistics.median(import_ms() for _ in range(RUNS)):.1f} ms")
    print(f"* default bundle: {size:.1f} MB\n")
    # Clips alternate, so that temporary load does not affect only one of them.
    results: dict[Path, list[dict[str, float]]] = {clip: [] for clip in clips}
    for _ in range(RUNS):
        for clip in clips:
            results[clip].append(predict(clip))
    print(f"| `mera-edge predict` | {' | '.join(clip.name for clip in clips)} |")
    print(f"| --- |{' --- |' * len(clips)}")
    for figure in results[clips[0]][0]:
        medians = [statistics.median(run[figure] for run in results[clip]) for clip in clips]
        print(f"| {figure} | {' | '.join(f'{value:.3g}' for value in medians)} |")


main()
