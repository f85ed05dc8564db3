"""Passwords and tokens, from files that only the service may read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from mera_edge.errors import ConfigError

PLACE = "{password}"
"""Where a URL wants its password, if it is not the user's."""

_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#:@]+)@")


def password(file: str) -> str:
    """Read a password: see `secret`."""
    return secret(file, "password_file")


def secret(file: str, key: str) -> str:
    """Read a secret.

    Args:
        key: the setting that names the file, for messages.
        file: a path, or the name of a systemd credential (``LoadCredential=``), which lies in
            ``$CREDENTIALS_DIRECTORY``.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / file
    path = credential if credential.is_file() else Path(file)
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        remedy = "give a file, or a credential of LoadCredential= in the systemd unit"
        raise ConfigError(f"{key} {file} cannot be read ({why})", remedy) from error
    if not text:
        raise ConfigError(f"{key} {file} is empty", "write the secret into it")
    return text


def wants_password(spec: str) -> bool:
    """Return whether an address leaves a place for a password."""
    return PLACE in spec or _USER.match(spec) is not None


def with_password(spec: str, secret: str) -> str:
    """Return an address with a password, percent-encoded, in the place that it leaves for it."""
    encoded = quote(secret, safe="")
    if PLACE in spec:
        return spec.replace(PLACE, encoded)
    return _USER.sub(lambda match: f"{match[1]}:{encoded}@", spec, count=1)
