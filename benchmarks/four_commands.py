"""Cost of training an own model: the commands of docs/tutorials/own_data.md on synthetic data.

    python benchmarks/four_commands.py OUT [ROLE...]

Generates examples in the empty directory OUT and runs the four commands of the page for every role:
train, export with the gate, evaluate, run live. Prints CPU and wall-clock seconds.

Exit code 1: a command failed, a model is not in INT8, or all together took longer than `LIMIT_MIN`.
"""

from __future__ import annotations

import csv
import os
import re
import resource
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.bundle.load import DEFAULT
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "own_data.md"
ROLES = ("face", "voice", "text", "asr", "vad", "fusion")

HEARD = "beauty for their"
"""Output of the shipped recognizer for the spoken words."""

LIMIT_MIN = 15
"""Goal for all roles together, wall-clock time on two cores."""

FULL_PRECISION = ("vad", "fusion")
"""Roles that stay in it."""

SHARES = {"said": 0.5, "sounds": 0.6, "clips": 0.3}
"""Share of the examples in tables that take longer to train on."""


def commands() -> dict[str, list[list[str]]]:
    """Return the commands of the page by role."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    found: dict[str, list[list[str]]] = {}
    for block in blocks:
        lines = [line for line in block.splitlines() if line]
        role = next(role for role in ROLES if f" {role} " in f"{lines[0]} ")
        words = [s.replace("edge/mera_edge/bundle/default", str(DEFAULT)).split() for s in lines]
        found.setdefault(role, []).extend(words)
    return found


@cache
def spoken() -> NDArray[np.float32]:
    """Return one second of speech from the sample clip."""
    source = MediaFile(CLIP)
    source.open()
    sound = np.concatenate([piece.samples for piece in source.poll(1.8).audio])[9600:25600]
    source.close()
    return sound


def make(folder: Path, count: int) -> None:
    """Write the tables of the page with ``count`` examples of six people, and a clip."""
    generator = np.random.default_rng(0)
    tables: dict[str, list[dict[str, str]]] = {}
    for n in range(count):
        happy, who = n % 2 == 0, {"person": f"p{n // 2 % 6}"}
        label = {"label": "happy" if happy else "Sad", **who}
        face = generator.integers(0, 90, (48, 48)).astype(np.uint8)
        face[slice(0, 24) if happy else slice(24, 48)] += 120
        cv2.imwrite(str(folder / f"{n}.png"), face)
        loud = spoken() * (0.5 + n / count / 1.25)
        soundfile.write(folder / f"{n}.wav", loud, 16_000)
        # High and fast is happy, low and slow is not: the shipped encoder can tell these apart.
        voice = soxr.resample(loud, 16_000 * (1.15 if happy else 0.8), 16_000)
        soundfile.write(folder / f"voice{n}.wav", voice, 16_000)
        soundfile.write(folder / f"noise{n}.wav", generator.normal(0, 0.05, 16_000), 16_000)
        text = f"i am {'so happy and glad' if happy else 'sad and i cry'} on day {n}"
        rows = {
            "faces": {"file": f"{n}.png", **label},
            "voices": {"file": f"voice{n}.wav", "label": "happy" if happy else "Neutral", **who},
            "sentences": {"text": text, **label},
            "said": {"file": f"{n}.wav", "text": HEARD, **who},
            "sounds": {"file": f"{'' if happy else 'noise'}{n}.wav",
                       "label": "speech" if happy else "noise", "person": f"p{n}"},
            "clips": {"file": f"{n}.wav", "text": text, **label},
        }  # fmt: skip
        for name, row in rows.items():
            if n < count * SHARES.get(name, 1):
                tables.setdefault(name, []).append(row)
    for name, found in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    _two_seconds(folder / "clip.mp4")


def _two_seconds(path: Path) -> None:
    """Write the beginning of the sample clip, which `run` plays in real time."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.dts * packet.time_base < 2:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)


def main() -> None:
    out, chosen = Path(sys.argv[1]), sys.argv[2:] or ROLES[:4]
    out.mkdir(parents=True, exist_ok=True)
    make(out, 200)
    print("| role | command | processor, s | clock, s | load | exit code |")
    print("| --- | --- | --- | --- | --- | --- |")
    began = time.monotonic()
    found = [fault for role in chosen for fault in faults(role, out)]
    minutes = (time.monotonic() - began) / 60
    print(f"| all | all | | {60 * minutes:.0f} | | |")
    if minutes > LIMIT_MIN:
        found.append(f"{minutes:.1f} minutes, the limit is {LIMIT_MIN}")
    if found:
        sys.exit("\n".join(found))


def faults(role: str, out: Path) -> list[str]:
    """Run the four commands of a role, print their cost, and return what went wrong."""
    total, failed = 0.0, []
    for words in commands()[role][:4]:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "from mera_edge.cli import main; main()"
        call = [sys.executable, "-c", code, *words[1:]]
        with (out / f"{role}.log").open("a") as log:
            left = subprocess.run(call, cwd=out, stdout=log, stderr=log, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        total += used
        print(
            f"| {role} | {words[1]} | {used:.0f} | {time.monotonic() - began:.0f} "
            f"| {os.getloadavg()[0]:.0f} | {left.returncode} |",
            flush=True,
        )
        if left.returncode:
            failed.append(
                f"{role}: exit code {left.returncode} of {' '.join(words)}, see {log.name}"
            )
            break
    print(f"| {role} | all | {total:.0f} | | | |", flush=True)
    if failed:
        return failed
    precision = Bundle.open(out / f"{role}-bundle").role(role).entry.precision
    wanted = "fp32" if role in FULL_PRECISION else "int8"
    return [] if precision == wanted else [f"{role}: the bundle has {precision}, not {wanted}"]


if __name__ == "__main__":
    main()
