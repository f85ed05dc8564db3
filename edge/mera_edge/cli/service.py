"""`mera-edge service`: a run as a systemd service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mera_edge.cli import options
from mera_edge.errors import CheckFailed, ConfigError, InputError

if TYPE_CHECKING:
    from mera_edge.config import Settings
    from mera_edge.service.systemd.unit import Unit

app = typer.Typer(no_args_is_help=True, help="Run as a systemd service.")

User = Annotated[
    bool,
    typer.Option(
        "--user",
        help="Manage a service of the current user, with access to the sound server, not a system "
        "service.",
    ),
]
Wyoming = Annotated[
    bool, typer.Option("--wyoming", help="Use the unit of `mera-edge wyoming` instead of `run`.")
]
_CONFIG = Path("/etc/mera-edge/config.toml")
Config = Annotated[Path, typer.Option("--config", help="TOML configuration file.")]


@app.command()
def install(config: Config = _CONFIG, user: User = False, wyoming: Wyoming = False) -> None:
    """Install the unit, enable it at boot, and start the service.

    If the configuration names anything that the service could not access, that is reported and
    nothing is installed.
    """
    from mera_edge.cli.console import say
    from mera_edge.config import load
    from mera_edge.service.systemd.manager import Manager
    from mera_edge.service.systemd.obstacles import obstacles

    manager = Manager(user, name=_name(wyoming))
    manager.require()
    settings = load(config, {}, {})
    unit, file = _unit(config, user, wyoming, settings), config.absolute()
    found = [] if user else list(obstacles(settings, unit.command, file, unit.name))
    for obstacle in found:
        say(f"{obstacle.what}: {obstacle.remedy}")
    if any(obstacle.fatal for obstacle in found):
        raise CheckFailed(
            "the service could not run with this configuration", "see the suggestions above"
        )
    manager.install(unit)
    options = "".join(f" {name}" for name in ("--user",) * user + ("--wyoming",) * wyoming)
    say(f"{manager.file} is installed and running; check with: mera-edge service status{options}")


@app.command()
def uninstall(user: User = False, wyoming: Wyoming = False) -> None:
    """Stop the service and remove its unit. Configuration and events are kept."""
    from mera_edge.cli.console import say
    from mera_edge.service.systemd.manager import Manager
    from mera_edge.service.systemd.unit import CACHE, STATE

    manager = Manager(user, name=_name(wyoming))
    manager.uninstall()
    places = [] if user else [str(_CONFIG.parent), STATE, CACHE]
    kept = ", ".join(place for place in places if Path(place).exists())
    say(f"{manager.file} is removed" + (f"; kept: {kept}" if kept else ""))


@app.command()
def status(user: User = False, wyoming: Wyoming = False, json: options.Json = False) -> None:
    """Show the state of the service. The exit code is 1 if it is not running."""
    import json as to_json

    from mera_edge.cli.console import stdout
    from mera_edge.service.systemd.manager import Manager

    name = _name(wyoming)
    told = Manager(user, name=name).status()
    if json:
        print(to_json.dumps(told))
    else:
        line = f"{told.get('ActiveState')} ({told.get('SubState')}): {told.get('StatusText')}"
        stdout().print(line, markup=False, highlight=False)
    if told.get("ActiveState") not in ("active", "reloading"):
        raise CheckFailed(
            f"the service is {told.get('ActiveState')} ({told.get('Result')})",
            f"see: journalctl{' --user' * user} -u {name}",
        )


@app.command()
def unit(config: Config = _CONFIG, user: User = False, wyoming: Wyoming = False) -> None:
    """Print the unit file that `install` would write."""
    from mera_edge.config import Settings, load

    try:
        settings = load(config, {}, {})
    except ConfigError:
        if config.exists():
            raise
        settings = Settings()
    print(_unit(config, user, wyoming, settings).text(), end="")


def _name(wyoming: bool) -> str:
    from mera_edge.service.systemd.unit import RUN, WYOMING

    return WYOMING if wyoming else RUN


def _unit(config: Path, user: bool, wyoming: bool, settings: Settings) -> Unit:
    from mera_edge.service.systemd.manager import Manager
    from mera_edge.service.systemd.unit import Unit, credentials, groups, program

    path = str(config.absolute())
    if any(character in path for character in " \t\n\"'\\%$"):
        raise InputError(
            f"{path} contains characters with a special meaning in unit files", "rename it"
        )
    return Unit(
        command=program(),
        config=Path(path),
        systemd=Manager(user).version,
        credentials=[] if wyoming else credentials(settings),
        groups=groups(),
        user=user,
        name=_name(wyoming),
        announces=wyoming and settings.wyoming.zeroconf,
    )
