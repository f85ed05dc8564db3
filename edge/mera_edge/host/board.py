"""Describes the board for comparisons, without anything that identifies its owner."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from mera_edge.host.sensors import SYSTEM


def board(root: Path = SYSTEM) -> dict[str, Any]:
    """Describe the board; unknown values are ``None``.

    Returns:
        ``model``, ``processor``, ``machine``, ``cores``, ``memory_mb``, ``system`` (distribution),
        ``kernel`` and ``jetson_linux``. No host name, serial number, user or address.
    """
    return {
        "model": _model(root),
        "processor": _field(root / "proc/cpuinfo", r"^(?:model name|Model)\s*:\s*(.+)$"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_mb": memory_mb(root),
        "system": _field(root / "etc/os-release", r'^PRETTY_NAME="?([^"\n]+)"?$'),
        "kernel": platform.release(),
        "jetson_linux": jetson_linux(root),
    }


def memory_mb(root: Path = SYSTEM) -> int | None:
    """Return the memory of this machine in MB; ``None`` if unknown."""
    found = _field(root / "proc/meminfo", r"^MemTotal:\s+(\d+) kB$")
    return None if found is None else int(found) * 1024 // 1000**2


def jetson_linux(root: Path = SYSTEM) -> str | None:
    """Return the version of Jetson Linux, such as ``36.4.3``; ``None`` on other boards."""
    release = root / "etc/nv_tegra_release"
    major = _field(release, r"\bR(\d+) \(release\)")
    minor = _field(release, r"\bREVISION: ([\d.]+)")
    return None if major is None or minor is None else f"{major}.{minor}"


def _model(root: Path) -> str | None:
    for place in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        try:
            text = (root / place).read_bytes().decode("utf-8", "replace").strip("\0\n ")
        except OSError:
            continue
        if text:
            return text
    return None


def _field(path: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else found[1].strip()
