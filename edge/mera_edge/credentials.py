"""Reads passwords and tokens from files, and inserts them into URLs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from mera_edge.errors import ConfigError

PLACE = "{password}"
"""Placeholder for a password that does not belong to the user of a URL."""

_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#:@]+)@")


def password(file: str) -> str:
    """Read a password; see `secret`."""
    return secret(file, "password_file")


def secret(file: str, key: str) -> str:
    """Read a secret.

    Args:
        file: a path, or the name of a systemd credential (``LoadCredential=``) in
            ``$CREDENTIALS_DIRECTORY``.
        key: the setting that names the file, for messages.

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
    """Return whether an address has a placeholder, or a user without a password."""
    return PLACE in spec or _USER.match(spec) is not None


def with_password(spec: str, secret: str) -> str:
    """Insert a percent-encoded password into an address; see `wants_password`."""
    encoded = quote(secret, safe="")
    if PLACE in spec:
        return spec.replace(PLACE, encoded)
    return _USER.sub(lambda match: f"{match[1]}:{encoded}@", spec, count=1)
