"""What a service with a user of its own, and a system that it may not write, cannot reach."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mera_edge.config import STDOUT, Settings
from mera_edge.service.systemd.unit import CACHE, RUN, STATE, credentials, secret_files
from mera_edge.sources.address import kind

_HOMES = ("/home", "/root", "/run/user")
_WRITABLE = (STATE, CACHE, "/run/mera-edge", "/tmp", "/var/tmp", "/dev/")


@dataclass(frozen=True)
class Obstacle:
    """Something out of reach.

    Attributes:
        what: it, and why.
        remedy: what to do.
        fatal: whether the service cannot start so.
    """

    what: str
    remedy: str
    fatal: bool = False


def obstacles(
    settings: Settings, command: str, config: Path, name: str = RUN
) -> Iterator[Obstacle]:
    """Give what the system's service cannot reach.

    Args:
        settings: the configuration.
        command: what starts the program.
        config: file of the configuration.
        name: of the unit; rooms and sinks are the run's alone.
    """
    yield from _program(command)
    if not config.is_file():
        yield Obstacle(f"{config} does not exist", "write it: docs/config.toml is an example", True)
    elif not _readable(config):
        yield Obstacle(
            f"{config} is not for everyone to read, and the service's user is made at every start",
            f"run: chmod 644 {config}; passwords go into files of their own (password_file)",
            True,
        )
    if name != RUN:
        return
    for room in settings.rooms:
        yield from _source(room.camera, "camera")
        yield from _source(room.mic, "microphone")
    yield from _secrets(settings, config)
    for sink in settings.sink:
        path = str(Path(sink.to).absolute())
        if sink.to in STDOUT:
            if len(settings.sink) == 1:
                yield Obstacle(
                    "events go nowhere: the service has no stdout",
                    f'name a sink: sink = "{STATE}/events.jsonl", or "mqtt://BROKER"',
                )
        elif sink.scheme is None and not path.startswith(_WRITABLE):
            yield Obstacle(
                f"sink {sink.to} cannot be written by the service", f"write into {STATE}", True
            )


def _program(command: str) -> Iterator[Obstacle]:
    path = Path(command.split()[0])
    for each in (path, path.resolve(), Path(__file__)):
        if str(each).startswith(_HOMES):
            yield Obstacle(
                f"mera-edge lies in a home ({each}), which services do not see",
                "install it elsewhere: python3 -m venv /opt/mera-edge && "
                "/opt/mera-edge/bin/pip install mera-edge; or: service install --user",
                True,
            )
            return


def _secrets(settings: Settings, config: Path) -> Iterator[Obstacle]:
    for name in credentials(settings):
        if not (config.parent / name).is_file():
            yield Obstacle(
                f"password_file {name} is not in {config.parent}",
                f"write the password into {config.parent / name}, for root alone to read",
                True,
            )
    for file in sorted(file for file in secret_files(settings) if "/" in file):
        if not _readable(Path(file)):
            yield Obstacle(
                f"{file} is not for the service's user to read",
                f"write its name alone and put it beside {config.name}: systemd hands it over",
                True,
            )


def _source(spec: str, what: str) -> Iterator[Obstacle]:
    if kind(spec) == "file" and str(Path(spec).absolute()).startswith(_HOMES):
        yield Obstacle(f"{what} {spec} lies in a home, which services do not see", "move it", True)
    elif what == "microphone" and spec in ("default", "pulse", "pipewire"):
        yield Obstacle(
            f"microphone {spec!r}: the sound server (PipeWire, PulseAudio) of a user who is logged "
            "in is out of reach",
            "name the device itself, a part of its name in `arecord -l`; or install with --user",
        )


def _readable(path: Path) -> bool:
    """Whether every user may read a file. One that is not there is no obstacle of ours."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return True
