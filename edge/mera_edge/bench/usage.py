"""Resource usage of this process, from Linux's /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mera_edge.errors import CheckFailed

_PROCESS = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory, descriptors, threads and child processes of a process at one moment."""

    pss_mb: float
    """Proportional set size: memory shared by n processes counts as 1/n."""
    rss_mb: float
    descriptors: int
    threads: int
    children: int

    @classmethod
    def now(cls) -> Usage:
        """Return the present usage.

        Raises:
            CheckFailed: the kernel has no ``smaps_rollup`` (Linux 4.14 or later).
        """
        try:
            rollup = (_PROCESS / "smaps_rollup").read_text(encoding="utf-8")
        except OSError as error:
            raise CheckFailed(
                f"the kernel does not tell this process's memory ({error.strerror})",
                "run it on Linux 4.14 or later",
            ) from error
        kilobytes = {
            name: int(value.split()[0])
            for name, _, value in (line.partition(":") for line in rollup.splitlines()[1:])
        }
        return cls(
            pss_mb=round(kilobytes["Pss"] / 1024, 2),
            rss_mb=round(kilobytes["Rss"] / 1024, 2),
            descriptors=len(list((_PROCESS / "fd").iterdir())),
            threads=len(list((_PROCESS / "task").iterdir())),
            children=sum(
                len((thread / "children").read_text(encoding="utf-8").split())
                for thread in (_PROCESS / "task").iterdir()
            ),
        )
