"""The budget, row by row, beside its rivals: what `docs/results/live.md` shows.

    taskset -c 1 python benchmarks/live.py measure RECORDS.jsonl PART...
    python benchmarks/live.py table RECORDS.jsonl

`measure` adds a line of figures to RECORDS.jsonl for each PART; the tables have the medians of all
lines (stderr: also the least and the most), so that parts that are run again and again in turn
share the machine's good and bad moments.
MERA_EDGE_MODELS names a folder with `moonshine-tiny-en`; CLIPS (of `clips`), MANIFEST (a CSV with
``file,text``, of `peers` and `words`), YUNET (of `peers`) and ROOM (made by
`empty_room.py`, of `product`) are set in the environment. Parts:

* `clips`: `mera-edge bench` on each clip, fast and in real time, and in real time with the final
  pass.
* `start`: a process from its start to its first event, and `import mera_edge`.
* `product`: `mera-edge run` on network cameras with sound: processor time and memory of all its
  processes, one room without and with the final pass, four rooms, an empty room.
* `words`: utterances between pauses in real time: when is their text final?
* `peers`: both recognizers against sherpa-onnx on the same files, the face detector against YuNet,
  the face encoder against a MobileFaceNet with random weights.
* `contention`: `contention.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from rows import TABLES

from mera_edge.sample import CLIP

HERE = Path(__file__).parent
CALL = [sys.executable, "-c", "from mera_edge.cli import main; main()"]
CLIPS = [Path(clip) for clip in os.environ.get("CLIPS", str(CLIP)).split(":")]
Figures = Iterator[tuple[str, float]]


def environment(final: bool) -> dict[str, str]:
    """Return that of a process with or without the final pass."""
    nowhere = {"MERA_EDGE_MODELS": tempfile.gettempdir() + "/no-models"}
    return {**os.environ, "OMP_NUM_THREADS": "1"} | ({} if final else nowhere)


def answer(*arguments: object, final: bool = False) -> str:
    command = [*CALL, *map(str, arguments)]
    return subprocess.run(
        command, env=environment(final), stdout=subprocess.PIPE, check=True, text=True
    ).stdout


def clips() -> Figures:
    for clip in CLIPS:
        for final in (False, True):
            for how in [["--realtime"]] if final else [[], ["--realtime"]]:
                found = json.loads(answer("bench", clip, "--json", *how, final=final))
                name = f"{clip.stem}, {'both' if final else 'one'}, {'live' if how else 'fast'}"
                yield f"{name}, rtf", found["real_time_factor"]
                yield f"{name}, p95", found["compute_ms"]["p95"]
                yield f"{name}, max", found["compute_ms"]["max"]
                yield f"{name}, load", found["start_up_s"]
                yield f"{name}, pss", found["pss_mb"]
                for stage, facts in found["stages"].items():
                    yield f"{name}, share of {stage}", facts["share"]


def start() -> Figures:
    code = "import time; t = time.perf_counter(); import mera_edge; print(time.perf_counter() - t)"
    took = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    yield "import", 1000 * float(took)
    for clip in CLIPS:
        began = time.monotonic()
        with subprocess.Popen(
            [*CALL, "predict", str(clip), "--json"], stdout=subprocess.PIPE, env=environment(False)
        ) as process:
            if process.stdout is not None:
                process.stdout.readline()
            yield f"{clip.stem}, first event", time.monotonic() - began
            process.kill()


def contention() -> Figures:
    command = [sys.executable, str(HERE / "contention.py")]
    said = subprocess.run(command, env=environment(False), stdout=subprocess.PIPE, text=True).stdout
    for line in said.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| two competitors"):
            yield "contended, events", float(cells[1])
            yield "contended, p95", float(cells[3])
            yield "contended, max", float(cells[4])
            yield "contended, skipped", float(cells[7])
            yield "contended, waited", float(cells[8].strip("%"))
            yield "contended, face read", float(cells[9].strip("%"))
        if line.startswith("Full service"):
            yield "recovery", float(line.split()[2])


def module(name: str) -> Callable[[], Figures]:
    """Return a part that lives in its own file: it needs a package that others do not."""

    def part() -> Figures:
        yield from __import__(name).figures()

    return part


PARTS: dict[str, Callable[[], Figures]] = {
    "clips": clips,
    "start": start,
    "contention": contention,
    **{name: module(f"live_{name}") for name in ("product", "words", "peers")},
}


def measure(records: Path, parts: list[str]) -> None:
    for part in parts:
        began = time.monotonic()
        figures = dict(PARTS[part]())
        with records.open("a") as file:
            file.write(json.dumps({"part": part, "figures": figures}) + "\n")
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def table(records: Path) -> None:
    found: dict[str, list[float]] = {}
    runs = [json.loads(line)["figures"] for line in records.read_text().splitlines()]
    for run in runs:
        for name, value in run.items():
            found.setdefault(name, []).append(value)
    values = {name: median(several) for name, several in found.items()}
    for name, value in values.items():
        least, most = min(found[name]), max(found[name])
        said = f"{value:8.3f}  {least:.3f} to {most:.3f} of {len(found[name])}"
        print(f"{name:40} {said}", file=sys.stderr)
    print("\n".join(filter(None, (each.shown(values) for each in TABLES))))


if __name__ == "__main__":
    verb, given, *rest = sys.argv[1:]
    measure(Path(given), rest) if verb == "measure" else table(Path(given))
