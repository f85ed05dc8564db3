"""Check the documented promises, and write docs/results/promises.md.

    python benchmarks/promises.py                    # the tests of every promise: some minutes
    python benchmarks/promises.py --only Secrets     # some of them; the page's other rows stay
    python benchmarks/promises.py --long spoiled     # also longer runs whose name has this in it

Every row names the tests or the command that it rests on and is made by running them. Longer runs
are noted in docs/results/long_runs.csv with their commit, and the page gives their sums. What could
not be run is said to be *not run*. Exits with 1 where a promise does not hold.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, RUNS = (ROOT / "docs" / "results" / name for name in ("promises.md", "long_runs.csv"))


@dataclass(frozen=True)
class Promise:
    """A promise, and the tests that verify it."""

    name: str
    what: str
    tests: tuple[str, ...]

    @property
    def files(self) -> str:
        """The files of its tests, as they are shown."""
        return ", ".join(f"`{name.removeprefix('tests/')}`" for name in self.tests)


@dataclass(frozen=True)
class LongRun:
    """A script that checks a promise for longer than a test can.

    Attributes:
        script: of this folder, with its options.
        found: pattern for the numbers of trials and failures in its output; may match several
        times.
    """

    name: str
    promise: str
    script: tuple[str, ...]
    found: str


PROMISES = (
    Promise(
        "Nothing leaves",
        "no socket and no file of predict, transcribe, bench, run and export but those asked for, "
        "under strace",
        ("tests/e2e/test_egress.py",),
    ),
    Promise(
        "Nothing leaves",
        "telemetry of ONNX Runtime off before it is loaded; no HTTP client is installed",
        ("tests/test_telemetry.py",),
    ),
    Promise(
        "Nothing leaves",
        "no sound and no picture in any byte of a run: files, stdout, stderr, HTTP, MQTT",
        ("tests/e2e/test_no_media.py",),
    ),
    Promise(
        "Off is off",
        "what is paused or switched off is closed and stays so after a restart; the audit log says "
        "who switched",
        ("tests/edge/test_control.py", "tests/edge/test_privacy.py"),
    ),
    Promise(
        "Nothing kills it",
        "a stage, a property or a finalisation that raises, hangs or gives NaN; stage times are "
        "97 % of a tick",
        ("tests/edge/test_stage_runner.py", "tests/edge/test_endpoint.py"),
    ),
    Promise(
        "Nothing kills it",
        "cameras and microphones that are absent, freeze, die or hang",
        ("tests/edge/test_devices.py", "tests/edge/test_microphone.py"),
    ),
    Promise(
        "Nothing kills it",
        "sinks that hang, fail, are full or gone; SIGTERM, SIGHUP, SIGUSR1",
        ("tests/edge/test_sinks.py", "tests/e2e/test_service.py"),
    ),
    Promise(
        "Nothing is lost",
        "runs and studies of other settings or data are refused; a damaged state falls back",
        ("tests/train/test_state.py", "tests/train/test_fingerprint.py"),
    ),
    Promise(
        "Media as people have them",
        "clocks that jump, tracks, channels, pixels, pipes, names; an error where nothing is there",
        ("tests/edge/test_odd_media.py", "tests/edge/test_media.py", "tests/e2e/test_bad_input.py"),
    ),
    Promise(
        "Secrets",
        "no password in arguments, events, logs or errors, whatever form its address has",
        ("tests/e2e/test_secrets.py", "tests/edge/test_redaction.py"),
    ),
    Promise(
        "Errors name the cause",
        "settings: the key, the file and the nearest name; no traceback, no secret",
        ("tests/edge/test_config.py", "tests/edge/test_errors.py"),
    ),
    Promise(
        "Errors name the cause",
        "cameras and microphones say why, with a code; tables say which columns they have",
        ("tests/edge/test_source_reasons.py", "tests/edge/test_table.py"),
    ),
    Promise(
        "Errors name the cause",
        "bundles that are altered, false or unsafe are refused",
        ("tests/edge/test_bundle.py",),
    ),
    Promise(
        "Events can be read back",
        "every line fits the published JSON Schema and is read back; the documents are the code's",
        (
            "tests/edge/test_events.py", "tests/e2e/test_event_contract.py",
            "tests/edge/test_reference.py",
        ),
    ),
    Promise(
        "Evaluation does not flatter",
        "no answer is wrong whatever the label; intervals are right",
        ("tests/edge/test_evaluation.py",),
    ),
    Promise(
        "Licences travel",
        "in the wheel, in its metadata, in a user's own bundle",
        ("tests/test_package.py", "tests/export/test_bundle.py"),
    ),
)  # fmt: skip

LONG_RUNS = (
    LongRun(
        "odd files, predict", "Media as people have them", ("odd_media.py", "--verb", "predict"),
        r"(?P<tried>\d+) files, \d+ as they should be, (?P<failed>\d+) not",
    ),
    LongRun(
        "odd files, transcribe", "Media as people have them",
        ("odd_media.py", "--verb", "transcribe"),
        r"(?P<tried>\d+) files, \d+ as they should be, (?P<failed>\d+) not",
    ),
    LongRun(
        "spoiled media", "Media as people have them", ("fuzz_media.py",),
        r"(?P<tried>\d+) spoiled files .*: (?P<failed>\d+) bad ends",
    ),
    LongRun(
        "spoiled bundles", "Errors name the cause", ("fuzz_bundles.py",),
        r'"cases": (?P<tried>\d+)|"(?:escaped|unclear|crashed|hung)": (?P<failed>\d+)',
    ),
    LongRun(
        "spoiled settings", "Errors name the cause", ("fuzz_settings.py",),
        r'"cases": (?P<tried>\d+)|"(?:escaped|unclear|shows the secret)": (?P<failed>\d+)',
    ),
    LongRun(
        "spoiled manifests, pickles, features, states", "Errors name the cause",
        ("fuzz_records.py",),
        r"^\| [^|]+ \| (?P<tried>\d+) \| \d+ \| \d+ \| (?P<failed>\d+)",
    ),
)  # fmt: skip

FAILS = "**does not hold**"

NOT_RUN = (
    ("a Jetson, a Raspberry Pi, TensorRT", "not available"),
    ("a real camera or microphone", "servers on loopback stand in for them"),
    ("other releases of ONNX Runtime than the pinned one", "it was the newest when it was pinned"),
)


Row = tuple[str, str]
"""A promise's line of the first table and of the second: one would be too wide for a page."""


def tested(promise: Promise) -> Row:
    """Run the tests of a promise and return its rows."""
    began, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--junitxml={report}", *promise.tests],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not report.exists():
            raise SystemExit(f"pytest did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        cases = [*ElementTree.parse(report).iter("testcase")]
    failed = [
        case for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    for case in failed:
        print(f"failed: {case.get('classname')} {case.get('name')}", file=sys.stderr, flush=True)
    skipped = sum(case.find("skipped") is not None for case in cases)
    result = FAILS if failed else "holds" + (", the skipped ones *not run*" if skipped else "")
    counts = (
        promise.files, len(cases), len(failed), skipped,
        round(time.monotonic() - began), round(load), commit(),
    )  # fmt: skip
    return line(promise.name, promise.what, result), line(*counts)


def line(*cells: object) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def run_long(run: LongRun, more: Sequence[str]) -> dict[str, object]:
    """Run a script and return its record."""
    began = datetime.now(timezone.utc)
    command = [sys.executable, str(ROOT / "benchmarks" / run.script[0]), *run.script[1:], *more]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    found = [*re.finditer(run.found, done.stdout, re.MULTILINE)]
    tried = sum(int(match["tried"] or 0) for match in found)
    if not tried:
        raise SystemExit(f"{run.name} gave no figures: {done.stdout[-1000:]}")
    failed = sum(int(match["failed"] or 0) for match in found)
    if failed:
        print(done.stdout, file=sys.stderr)
    return {
        "run": run.name,
        "options": " ".join(more),
        "tried": tried,
        "failed": failed,
        "commit": commit(),
        "began": began.strftime("%Y-%m-%d %H:%M"),
    }


def said(*command: str) -> str:
    """Return the output of a command."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit() -> str:
    """Return the commit that changed the packages last."""
    packages = [str(path.parent) for path in ROOT.glob("*/mera_*/__init__.py")]
    return said("git", "log", "-1", "--format=%h", "--", *packages)


def note(row: dict[str, object]) -> None:
    """Add a longer run to those that are kept."""
    new = not RUNS.exists()
    with RUNS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*row], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def shown(promise: Promise) -> Row:
    """Return a promise's rows of the page as it is."""
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    known = line(promise.name, promise.what, "*not run*"), line(promise.files, *[""] * 6)
    begins = f"| {promise.name} | {promise.what} |", f"| {promise.files} |"
    rows = [[row for row in page.splitlines() if row.startswith(begin)] for begin in begins]
    return (rows[0][0], rows[1][0]) if all(rows) else known


def page(rows: Sequence[Row]) -> str:
    """Return the page."""
    first, second = ("".join(f"{part}\n" for part in parts) for parts in zip(*rows, strict=True))
    text = f"""# Promises

Each promise, how it is checked and the result, generated by `python benchmarks/promises.py`: Python
{platform.python_version()}, ONNX Runtime {metadata.version("onnxruntime")}, {os.cpu_count()} cores.
Seconds are wall-clock time; *load* is the system load when the row started; *commit* is the last
one that changed the packages.

| promise | what is checked | result |
| --- | --- | --- |
{first}
The tests, in the same order:

| tests in | tests | failed | skipped | s | load | commit |
| --- | --- | --- | --- | --- | --- | --- |
{second}
## Longer runs

`python benchmarks/promises.py --long NAME`, noted in [{RUNS.name}]({RUNS.name}) with their commits.
Sums of all runs; "bad ends" are tracebacks, crashes, hangs, more than 400 MB, secrets shown,
unclear messages, wrong exit codes. A run that found one was repeated after the fix, and only the
repeated run counts.

| promise | what is tried | command | runs | inputs | bad ends |
| --- | --- | --- | --- | --- | --- |
"""
    kept = [*csv.DictReader(RUNS.open(encoding="utf-8"))] if RUNS.exists() else []
    for run in LONG_RUNS:
        rows = [row for row in kept if row["run"] == run.name]
        tried, failed = (sum(int(row[key]) for row in rows) for key in ("tried", "failed"))
        figures = f"{len(rows)} | {tried} | {failed}" if rows else "*not run* | |"
        command = " ".join(("python", f"benchmarks/{run.script[0]}", *run.script[1:]))
        text += f"| {run.promise} | {run.name} | `{command}` | {figures} |\n"
    tried, failed = (sum(int(row[key]) for row in kept) for key in ("tried", "failed"))
    text += f"| | together | | {len(kept)} | {tried} | {failed} |\n"
    text += """
Faults of cameras and microphones, sinks that hang, full disks and restarts have a page of their
own: [faults](faults.md) (`benchmarks/faults.py`, `benchmarks/service.py`).

## Not run

| what | why |
| --- | --- |
"""
    return text + "".join(f"| {what} | {why} |\n" for what, why in NOT_RUN)


def main() -> int:
    """Run the tests, write the page, return the number of failures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a promise's name or of its tests'")
    parser.add_argument("--long", help="also run the longer runs whose name has this in it")
    parser.add_argument("--options", default="", help="more options of their scripts")
    parser.add_argument("--only-long", action="store_true", help="no tests, and no page")
    parser.add_argument("--jobs", type=int, default=1, help="promises checked at the same time")
    given = parser.parse_args()
    failed = 0
    for run in LONG_RUNS:
        if given.long is not None and given.long in run.name:
            row = run_long(run, given.options.split())
            note(row)
            print(row, flush=True)
            failed += int(str(row["failed"]))
    if given.only_long:
        return int(bool(failed))
    chosen = [promise for promise in PROMISES if given.only in promise.name + promise.files]
    with ThreadPoolExecutor(given.jobs) as pool:
        new = dict(zip(chosen, pool.map(tested, chosen), strict=True))
    rows = [new.get(promise) or shown(promise) for promise in PROMISES]
    PAGE.write_text(page(rows), encoding="utf-8")
    return int(bool(failed) or any(FAILS in said for said, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
