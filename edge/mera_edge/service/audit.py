"""What was on, when, with which settings and models: a log without anything seen or heard."""

from __future__ import annotations

import json
import logging
import os
import pwd
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from mera_edge import __version__
from mera_edge.bundle import Bundle
from mera_edge.config import Settings
from mera_edge.errors import InputError, MeraError
from mera_edge.events import timestamp
from mera_edge.redaction import redacted
from mera_edge.service.control import Switches
from mera_edge.sinks.lines import Lines
from mera_edge.sinks.outbox import Outbox

_LOG = logging.getLogger(__name__)

SCHEMA: Final = "mera-edge/audit/1"

_WAITING = 256
"""Lines that may wait for a slow disk."""

_END_S = 1.0
"""What the disk is given at the end."""


def state_directory(settings: Settings, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return where the log and the switches are kept: systemd's place if the settings name none."""
    if settings.privacy.state_directory is not None:
        return settings.privacy.state_directory
    first = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def starter(environment: Mapping[str, str] = os.environ) -> str:
    """Return who started this process: systemd, or a user at the command line."""
    if environment.get("INVOCATION_ID"):
        return "systemd"
    user = os.getuid()
    try:
        return f"user {pwd.getpwuid(user).pw_name}"
    except KeyError:  # in a container, a number is all that there is
        return f"user {user}"


class AuditLog:
    """Appends lines to ``audit.jsonl``, and keeps the switches in ``switches.json``.

    The disk is waited for by a thread; what cannot be written is said once.

    Args:
        directory: is made.

    Raises:
        InputError: the log cannot be written, or another run writes it.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{directory} cannot be created ({error.strerror})", "set [privacy] state_directory"
            ) from error
        self._file = directory / "switches.json"
        self._lines = Lines(str(directory / "audit.jsonl"))
        self._failed = False
        self._switches = self._read()
        self._outbox = Outbox("audit log", _WAITING)

    @property
    def switches(self) -> dict[str, Switches]:
        """Those of the run before, by the room's id: who switched off does so until switched on."""
        return dict(self._switches)

    def started(self, settings: Settings, models: Bundle) -> None:
        """Say what runs now, and who started it."""
        self._write("started", by=starter(), **_facts(settings, models))

    def configured(self, settings: Settings, models: Bundle) -> None:
        """Say what runs after a signal had the configuration read again."""
        self._write("configured", by="signal", **_facts(settings, models))

    def switched(self, room: str, switches: Switches, by: str) -> None:
        """Say what was switched and by whom, and keep it."""
        self._write("switched", by=by, room=room, **asdict(switches))
        self._switches[room] = switches
        kept = json.dumps({room: asdict(each) for room, each in self._switches.items()})
        self._put(lambda: self._replace(kept))

    def stopped(self, events: int) -> None:
        """Say that it ended, and wait for the disk, a second at most."""
        self._write("stopped", events=events)
        self._outbox.close(self._lines.close)
        self._outbox.wait(time.monotonic() + _END_S, _END_S)

    def _write(self, what: str, **facts: Any) -> None:
        fields = {"schema": SCHEMA, "at": timestamp(time.time()), "what": what, **facts}
        line = json.dumps(fields, ensure_ascii=False)
        self._put(lambda: self._lines.write(line))

    def _put(self, write: Callable[[], None]) -> None:
        def job() -> None:
            try:
                write()
            except (MeraError, OSError) as error:
                if not self._failed:
                    self._failed = True
                    _LOG.error("the audit log cannot be written: %s", error)

        self._outbox.put(job)

    def _replace(self, text: str) -> None:
        scratch = self._file.with_suffix(".partial")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(self._file)

    def _read(self) -> dict[str, Switches]:
        if not self._file.exists():
            return {}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            known = asdict(Switches())
            return {
                room: replace(
                    Switches(), **{name: each[name] for name in known if type(each[name]) is bool}
                )
                for room, each in found.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{self._file} cannot be used ({error!r})",
                "remove it, then switch off again whatever should be off",
            ) from error


def _facts(settings: Settings, models: Bundle) -> dict[str, Any]:
    entries = models.manifest.roles.values()
    return {
        "version": __version__,
        "bundle": models.manifest.name,
        "models": {file.path: file.sha256 for role in entries for file in role.files.values()},
        "rooms": {
            room.id: {"camera": redacted(room.camera), "mic": redacted(room.mic)}
            for room in settings.rooms
        },
        "sinks": {redacted(sink.to): sink.transcript for sink in settings.sinks},
        "modalities": list(settings.privacy.modalities),
    }
