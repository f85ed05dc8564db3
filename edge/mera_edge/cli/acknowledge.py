"""The legal notice about emotion recognition, which the user must acknowledge once."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.config import Settings

_LOG = logging.getLogger(__name__)

LAW = """\
mera-edge estimates the emotions of people. The European Union's AI Act (Regulation (EU) 2024/1689)
  * prohibits this at work and in education (Article 5(1)(f)), and
  * requires that everyone exposed to it is informed (Article 50(3)); `mera-edge notice` writes a
    sheet to print.
Ask the people in the room, and never use the result for decisions about a person.
"""


def acknowledge(settings: Settings) -> None:
    """Require acknowledgement of the law before the first run with a camera or microphone.

    Asks in a terminal and stores the answer. Without a terminal the run continues, and a warning is
    logged until ``[privacy] acknowledged = true`` is set.

    Raises:
        InputError: the answer was no.
    """
    marker = _marker(settings)
    if settings.privacy.acknowledged or marker.exists() or not _captures(settings):
        return
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        _LOG.warning(
            "not yet acknowledged: Articles 5 and 50 of the AI Act (no use at work or in education;"
            " people must be informed). Set acknowledged = true under [privacy]"
        )
        return
    print(f"{LAW}\nType yes to confirm that you comply: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise InputError("not confirmed", "type yes, or set acknowledged = true under [privacy]")
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        _LOG.warning("the answer cannot be remembered: %s", error)


def _captures(settings: Settings) -> bool:
    from mera_edge.sources.select import select

    return any(
        source.is_live
        for room in settings.rooms
        for source in select(room.camera, room.mic, room.id)
    )


def _marker(settings: Settings) -> Path:
    from mera_edge.service.audit import state_directory

    directory = state_directory(settings)
    if directory is None:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        directory = Path(home, "mera-edge")
    return directory / "acknowledged"
