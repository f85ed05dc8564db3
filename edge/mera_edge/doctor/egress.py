"""Egress check: runs verbs under strace and reports network use and written files.

A check inside Python would miss what native libraries send and write.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mera_edge.bundle.catalogue import directory as models
from mera_edge.engine.cache import directory as engines
from mera_edge.errors import CheckFailed, InputError

COMMAND = (sys.executable, "-m", "mera_edge")

_CALLS = (
    "%network,execve,io_uring_setup,openat,?openat2,?open,?creat,mkdirat,?mkdir,?rename,?renameat,"
    "?renameat2,linkat,?link,symlinkat,?symlink,mknodat,?mknod"
)
_LINE = re.compile(r"(?P<name>\w+)\((?P<given>.*)\) += (?P<result>-?\d+)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FOLDER = re.compile(r"(?:AT_FDCWD|\d+)<([^>]*)>, $")
_FAMILY = re.compile(r"AF_\w+")
_ADDRESS = re.compile(r'inet_(?:addr\("|pton\(AF_INET6, ")([^"]+)')
_PORT = re.compile(r"htons\((\d+)\)")

_MEMORY = Path("/dev/shm")
"""Semaphores and shared memory are created here, and unlinked immediately."""

_KEPT = (
    "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "OMP_NUM_THREADS", "PATH", "PYTHONPATH",
)  # fmt: skip
"""Environment variables that are kept. Others could hide traffic: with ``CI`` set, some libraries
send nothing."""

_CONTROL = """
import os, socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))
open(os.path.join(os.environ["HOME"], "left"), "w").close()
"""


@dataclass(frozen=True)
class EgressTrace:
    """The network use and written files of a command."""

    command: tuple[str, ...]
    exit_code: int
    said: str
    """The end of its stderr."""
    seconds: float
    programs: tuple[str, ...]
    """Programs that it executed, including itself; all were traced."""
    sockets: tuple[str, ...]
    """Every use of the network, attempted or successful, and of other processes' sockets."""
    files: tuple[str, ...]
    """Files and directories that were unexpectedly created or opened for writing, and temporary
    ones that were not removed."""

    @property
    def clean(self) -> bool:
        """Whether the command succeeded without network use and unexpected files."""
        return not (self.exit_code or self.sockets or self.files)


def trace(command: Sequence[str], outputs: Sequence[Path] = ()) -> EgressTrace:
    """Run a command under strace, with an empty home and an empty temporary directory.

    Args:
        command: a program and its arguments.
        outputs: files and directories that it is expected to write; devices need not be listed.

    Raises:
        InputError: strace is not installed, or not permitted.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise InputError("strace is not installed", "run: apt install strace")
    with tempfile.TemporaryDirectory(prefix="mera-edge-egress-") as room:
        place = Path(room).resolve()
        home, scratch, logs = (place / name for name in ("home", "tmp", "logs"))
        for folder in (home, scratch, logs):
            folder.mkdir()
        options = ["-ff", "--seccomp-bpf", "-qq", "-y", "-s", "64", "-e", f"trace={_CALLS}"]
        began = time.monotonic()
        ended = subprocess.run(
            [strace, *options, "-o", str(logs / "log"), *command],
            env=_environment(home, scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        seconds = time.monotonic() - began
        said = ended.stderr.decode(errors="replace").strip()[-2000:]
        calls = [call for log in sorted(logs.iterdir()) for call in _calls(log)]
        programs = [
            _path(given) for name, given, result in calls if name == "execve" and result == 0
        ]
        if not programs:
            raise InputError(
                f"strace does not work here ({said})",
                "run as root, or allow it: docker run --cap-add=SYS_PTRACE",
            )
        allowed = [path.resolve() for path in (*outputs, scratch, engines())]
        written = [path for call in calls if (path := _written(*call)) is not None]
        foreign = [path for path in written if not any(map(path.is_relative_to, allowed))]
        left = [path for folder in (home, scratch) for path in folder.rglob("*")]
        shown = [
            str(path).replace(str(home), "~").replace(str(scratch), "$TMPDIR")
            for path in (*foreign, *left)
        ]
    sockets = [use for call in calls if (use := _use_of_network(*call)) is not None]
    return EgressTrace(
        tuple(command), ended.returncode, said, seconds,
        *(tuple(dict.fromkeys(found)) for found in (map(str, programs), sockets, shown)),
    )  # fmt: skip


def control() -> None:
    """Positive control: trace a program that sends a datagram to localhost and writes to its home.

    Raises:
        InputError: strace is not installed, or not permitted.
        CheckFailed: strace missed one of the two, so its results would prove nothing.
    """
    found = trace([sys.executable, "-c", _CONTROL])
    if not any("127.0.0.1" in use for use in found.sockets) or found.files != ("~/left",):
        raise CheckFailed(
            f"strace missed the test traffic ({found.sockets}, {found.files})",
            "no verdict on this machine: report this with the version of strace",
        )


def _environment(home: Path, scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if os.environ.get("ORT_DISABLE_TELEMETRY") == "0":  # set by the user, not by mera_edge
        kept["ORT_DISABLE_TELEMETRY"] = "0"
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "MERA_EDGE_MODELS": str(models()),
        "MERA_EDGE_ENGINES": str(engines()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _calls(log: Path) -> Iterator[tuple[str, str, int]]:
    """Yield name, arguments and result of every call; -1 for one that did not return."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.match(line)
        if found:
            yield found["name"], found["given"], int(found["result"])
        elif "(" in line and not line.startswith(("+++", "---")):
            name, _, given = line.partition("(")
            yield name, given, -1


def _written(name: str, given: str, result: int) -> Path | None:
    """Return the path that a call created or opened for writing, unless a device or in memory."""
    if result < 0 or name in ("execve", "io_uring_setup"):
        return None
    if name.startswith("open"):
        if not re.search(r"O_WRONLY|O_RDWR|O_CREAT", given):
            return None
    elif not name.startswith(("creat", "mkdir", "rename", "link", "symlink", "mknod")):
        return None
    path = _path(given, last=name.startswith(("rename", "link", "symlink")))
    passing = path.is_relative_to(_MEMORY) and not path.exists()
    device = path.is_relative_to("/dev") and not path.is_relative_to(_MEMORY)
    return None if passing or device or path.is_relative_to("/proc") else path


def _path(given: str, last: bool = False) -> Path:
    """Return the first or last path in a call's arguments, absolute if strace shows the base."""
    found = list(_TEXT.finditer(given))[-1 if last else 0]
    folder = _FOLDER.search(given[: found.start()])
    text = found[1].encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")
    return Path(os.path.normpath(Path(folder[1] if folder else "/") / text))


def _use_of_network(name: str, given: str, result: int) -> str | None:
    """Describe a call's use of the network or of another process's socket."""
    if name == "io_uring_setup":
        return "io_uring, which strace cannot watch"
    family = _FAMILY.search(given)
    if name in ("socketpair", "execve") or family is None or family[0] == "AF_NETLINK":
        return None
    if family[0] == "AF_UNIX":
        # Only a successful connect reaches another process.
        return f"{name} {given}" if name == "connect" and result == 0 else None
    address, port = _ADDRESS.search(given), _PORT.search(given)
    where = f" {address[1]}" if address else ""
    where += f" port {port[1]}" if port else ""
    return f"{name} {family[0]}{where}"
