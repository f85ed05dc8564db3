"""Installing the unit, and asking systemd about it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.service.systemd.unit import RUN, Unit

_ASKED = ("LoadState", "ActiveState", "SubState", "StatusText", "Result", "NRestarts", "MainPID")


class Manager:
    """The systemd of this machine, or of the user who is logged in.

    Args:
        user: which of the two.
        root: the system's files.
        name: the unit.
    """

    def __init__(self, user: bool, root: Path = Path("/"), name: str = RUN) -> None:
        self._user, self._root, self._name = user, root, name
        self._scope = ["--user"] if user else []

    @property
    def file(self) -> Path:
        """The unit."""
        if self._user:
            base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
            return Path(base) / "systemd" / "user" / self._name
        return self._root / "etc/systemd/system" / self._name

    @property
    def version(self) -> int:
        """Of systemd; 0 where there is none."""
        if shutil.which("systemctl") is None:
            return 0
        words = self._call("--version", scope=False).split()
        return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0

    def install(self, unit: Unit) -> None:
        """Write the unit, have it start with the machine, and start it.

        Raises:
            InputError: there is no systemd, or we may not.
        """
        self.require()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(unit.text(), encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{self.file} cannot be written ({error.strerror})",
                "is the file system read-only?",
            ) from error
        self._call("daemon-reload")
        self._call("enable", self._name)
        self._call("restart", self._name)

    def uninstall(self) -> None:
        """Stop the service and remove its unit; state and configuration stay.

        Raises:
            InputError: there is no systemd, we may not, or it is not installed.
        """
        self.require()
        if not self.file.exists():
            raise InputError(
                f"the service is not installed: {self.file} does not exist", "nothing to uninstall"
            )
        self._call("disable", "--now", self._name)
        self.file.unlink()
        self._call("daemon-reload")

    def status(self) -> dict[str, str]:
        """Return what systemd knows of the service.

        Raises:
            InputError: there is no systemd.
        """
        self.require(change=False)
        told = self._call("show", self._name, f"--property={','.join(_ASKED)}")
        return dict(_pairs(told))

    def require(self, change: bool = True) -> None:
        """Check that there is a systemd, and that we may change its services.

        Raises:
            InputError: there is none, or we may not.
        """
        if shutil.which("systemctl") is None or not (self._root / "run/systemd/system").exists():
            raise InputError(
                "this machine was not started by systemd",
                "have your own supervisor start `mera-edge run --config FILE`; "
                "`mera-edge service unit` shows what systemd would be told",
            )
        if change and not self._user and os.geteuid() != 0:
            raise InputError(
                "only root may change system services",
                "use sudo, or --user",
            )

    def _call(self, *arguments: str, scope: bool = True) -> str:
        command = ["systemctl", *(self._scope if scope else []), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise InputError(
                f"{' '.join(command)} failed: {why[0]}",
                f"journalctl {' '.join([*self._scope, '-u', self._name])} says more",
            )
        return done.stdout


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            yield key, value
