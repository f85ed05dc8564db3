"""Checks of the machine and its packages: memory, Python version, conflicting packages."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

from mera_edge.doctor.check import Check
from mera_edge.host.board import jetson_linux, memory_mb
from mera_edge.host.sensors import SYSTEM

OLDEST, NEWEST = (3, 10), (3, 13)
SMALL_MB, TOO_SMALL_MB = 1500, 600
"""Memory of the machine below which the check gives a note, and below which it fails."""

OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def packages() -> dict[str, str]:
    """Return every installed distribution with its version."""
    return {(each.metadata["Name"] or "").lower(): each.version for each in distributions()}


def installation(
    installed: Mapping[str, str],
    root: Path = SYSTEM,
    python: tuple[int, int] = (sys.version_info[0], sys.version_info[1]),
    bits: int = 8 * struct.calcsize("P"),
) -> Iterator[Check]:
    """Check for known incompatibilities.

    Args:
        installed: versions by distribution; see `packages`.
        root: root of the file system.
        python: version of the interpreter.
        bits: pointer size of the interpreter.
    """
    if not OLDEST <= python <= NEWEST:
        remedy = "create the environment with Python 3.10 to 3.13"
        yield Check("Python", "fail", f"{python[0]}.{python[1]} is not supported", remedy)
    if bits < 64:
        remedy = "install the 64-bit operating system: there are no 32-bit packages"
        yield Check("processor", "fail", f"this Python is {bits}-bit", remedy)
    yield from _memory(root)
    yield from _twice("OpenCV", OPENCV, "opencv-python-headless", installed)
    yield from _twice("ONNX Runtime", RUNTIMES, "onnxruntime", installed)
    gpu, numpy = installed.get("onnxruntime-gpu"), installed.get("numpy", "")
    release = jetson_linux(root) or ""
    if gpu and release.startswith("36.") and int(numpy.partition(".")[0] or 0) >= 2:
        found = f"onnxruntime-gpu {gpu} for JetPack 6 was built for NumPy 1, not {numpy}"
        yield Check("NumPy", "fail", found, "run: pip install 'numpy<2'")


def _memory(root: Path) -> Iterator[Check]:
    found = memory_mb(root)
    if found is None:
        return
    if found < TOO_SMALL_MB:
        remedy = "use a board with 1 GB or more"
        yield Check("memory", "fail", f"{found} MB; a run needs up to 400", remedy)
    elif found < SMALL_MB:
        remedy = "close the desktop and browsers, run one room, remove pulled models"
        yield Check("memory", "note", f"{found} MB; a run needs up to 400", remedy)
    else:
        yield Check("memory", "ok", f"{found / 1000:.1f} GB")


def _twice(
    what: str, names: tuple[str, ...], wanted: str, installed: Mapping[str, str]
) -> Iterator[Check]:
    """Check for distributions that install into the same directory and overwrite each other."""
    there = [name for name in names if name in installed]
    if len(there) > 1:
        remedy = f"run: pip uninstall {' '.join(there)}, then pip install {wanted}"
        yield Check(what, "fail", f"{' and '.join(there)} overwrite each other", remedy)
