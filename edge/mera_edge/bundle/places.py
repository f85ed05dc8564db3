"""Where files of the user's lie that are not named on the command line."""

from __future__ import annotations

import os
from pathlib import Path

from mera_edge.errors import InputError


def place(chosen: str, base: str, usual: str, part: str) -> Path:
    """Return a directory of this program's.

    Args:
        chosen: the variable of the environment that names it.
        base: the variable that else names the directory of all programs.
        usual: the same, relative to the user's home, where neither is set.
        part: which of this program's directories it is there.

    Raises:
        InputError: neither is set and the user has no home.
    """
    named = os.environ.get(chosen)
    if named:
        return Path(named)
    shared = os.environ.get(base)
    try:
        return (Path(shared) if shared else Path.home() / usual) / "mera-edge" / part
    except RuntimeError as error:
        raise InputError("this user has no home directory", f"set HOME or {chosen}") from error
