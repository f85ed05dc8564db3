"""What somebody means by what is written after --camera."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Kind = Literal["url", "pipeline", "device", "file", "unknown"]


def kind(spec: str) -> Kind:
    """Tell a URL, a GStreamer pipeline, a device and a file, be it there or not, apart."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", spec):
        return "url"
    if _is(spec, Path.is_file):
        return "file"
    if "!" in spec:
        return "pipeline"
    if spec.isdecimal() or (spec.startswith("/dev/") and not spec.startswith("/dev/shm/")):
        return "device"
    return "file" if Path(spec).suffix else "unknown"


def is_address(path: str) -> bool:
    """Return whether a path was meant as a URL: `Path` leaves a slash of it out."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path))


def is_directory(spec: str) -> bool:
    """Return whether it is a path, and one of a directory."""
    return kind(spec) != "url" and _is(spec, Path.is_dir)


def _is(spec: str, what: Callable[[Path], bool]) -> bool:
    try:
        return what(Path(spec))
    except (OSError, ValueError):  # no name that a file could have
        return False
