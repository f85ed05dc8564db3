"""Checks that this processor computes an INT8 model correctly."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from mera_edge.bundle.manifest import RoleEntry

EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""CPU flags of x86 processors whose 8-bit dot products do not saturate."""


def is_exact(machine: str = platform.machine(), cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether 8-bit dot products do not saturate; they never do on 64-bit Arm."""
    if machine.lower() not in ("x86_64", "amd64"):
        return True
    try:
        flags = cpuinfo.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return not EXACT.isdisjoint(flags)


def unsuited(entry: RoleEntry) -> Iterator[str]:
    """Describe why an INT8 model would give wrong results on this processor."""
    facts = entry.calibration.get("int8")
    made_for = facts.get("instruction_set", "x86") if isinstance(facts, dict) else "x86"
    if entry.precision == "int8" and made_for != "x86" and not is_exact():
        yield (
            f"its INT8 weights have 8 bits, for {made_for}, and this processor has no VNNI: "
            "sums would saturate; export it with --cpu x86"
        )
