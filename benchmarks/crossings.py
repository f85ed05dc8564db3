"""Counts calls between packages of this project during a command.

    python benchmarks/crossings.py predict talk.wav
    python benchmarks/crossings.py pytest tests/export/test_precision_search.py -k refined

Runs a `mera-edge` command, or tests, and counts the calls between packages: from `mera_export` to
`mera_calibration`, and inside `mera_edge` from `pipeline` to `stages`. Prints a Markdown table: the
number of different pairs of functions that call each other across a border, and of calls. A
callable that was handed in counts where it is called. Library frames in between are skipped.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter, defaultdict
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mera_edge.cli import main as command

Pair = tuple[str, str, str, str]
"""Package and function of the caller, package and function of the callee."""

_INNER = ("<module>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>", "<lambda>")


@functools.cache
def package(file: str) -> str:
    """Return `mera_export`, or inside the runtime `mera_edge.stages`; empty for anything else."""
    parts = Path(file).parts
    for number, part in enumerate(parts[:-1]):
        if part in ("mera_train", "mera_calibration", "mera_export"):
            return part
        if part == "mera_edge":
            return f"mera_edge.{parts[number + 1].removesuffix('.py')}"
    return ""


def counter(found: Counter[Pair]) -> Any:
    """Return a profile function that counts calls between packages."""

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or not (callee := package(frame.f_code.co_filename)):
            return
        caller = frame.f_back
        while caller is not None and not package(caller.f_code.co_filename):
            caller = caller.f_back
        if caller is None or frame.f_code.co_name in _INNER:
            return
        origin = package(caller.f_code.co_filename)
        if origin != callee:
            found[origin, caller.f_code.co_name, callee, frame.f_code.co_name] += 1

    return watch


def main() -> None:
    found: Counter[Pair] = Counter()
    if sys.argv[1] == "pytest":
        pytest.main(sys.argv[2:], plugins=[Tests(found)])
        show(found)
        return
    sys.setprofile(counter(found))
    try:
        command(sys.argv[1:])
    finally:
        sys.setprofile(None)
        show(found)


class Tests:
    """Counts calls in tests, without their fixtures."""

    def __init__(self, found: Counter[Pair]) -> None:
        self.found = found

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        sys.setprofile(counter(self.found))
        yield
        sys.setprofile(None)


def show(found: Counter[Pair]) -> None:
    borders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for (origin, _, callee, _), calls in found.items():
        borders[origin, callee].append(calls)
    print("| from | to | pairs of functions | calls |", file=sys.stderr)
    print("| --- | --- | --- | --- |", file=sys.stderr)
    for (origin, callee), calls in sorted(borders.items()):
        print(f"| {origin} | {callee} | {len(calls)} | {sum(calls)} |", file=sys.stderr)
    total = sum(found.values())
    print(f"| all | | {len(found)} | {total} |", file=sys.stderr)


if __name__ == "__main__":
    main()
