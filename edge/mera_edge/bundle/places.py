"""Default directories in the user's home."""

from __future__ import annotations

import os
from pathlib import Path

from mera_edge.errors import InputError


def place(chosen: str, base: str, usual: str, part: str) -> Path:
    """Return a directory of mera-edge.

    Args:
        chosen: environment variable that names it.
        base: environment variable of the base directory, used if ``chosen`` is not set.
        usual: base directory relative to the user's home, used if neither is set.
        part: name of the directory within ``mera-edge`` in the base directory.

    Raises:
        InputError: neither is set and the user has no home directory.
    """
    named = os.environ.get(chosen)
    if named:
        return Path(named)
    shared = os.environ.get(base)
    try:
        return (Path(shared) if shared else Path.home() / usual) / "mera-edge" / part
    except RuntimeError as error:
        raise InputError("this user has no home directory", f"set HOME or {chosen}") from error
