"""The address of the broker, and the topics of this machine."""

from __future__ import annotations

import hashlib
import re
import socket
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mera_edge.config import SinkSettings
from mera_edge.credentials import password
from mera_edge.errors import InputError
from mera_edge.redaction import redacted

_PREFIX = "mera-edge"
_LONGEST = 200
_MACHINE = Path("/etc/machine-id")


@dataclass(frozen=True)
class Address:
    """A broker, and this machine's place in its topics.

    Attributes:
        shown: the broker in messages, without secrets.
        prefix: first levels of all topics.
        node: name of this machine in topics.
    """

    host: str
    port: int
    tls: bool
    ca_file: str | None
    user: str | None
    secret: str | None = field(repr=False)
    shown: str
    prefix: str
    node: str

    @classmethod
    def of(cls, settings: SinkSettings) -> Address:
        """Parse ``mqtt://[USER@]HOST[:PORT][/PREFIX]`` and the other settings of the sink.

        Raises:
            InputError: the address is not valid.
            ConfigError: the password cannot be read.
        """
        shown = redacted(settings.to)
        tls = settings.scheme == "mqtts"
        try:
            url = urlsplit(settings.to)
            port = url.port
        except ValueError as error:
            raise _bad(shown, str(error)) from error
        if not url.hostname:
            raise _bad(shown, "it has no host")
        user, secret = (part and unquote(part) for part in (url.username, url.password))
        if settings.password_file is not None:
            secret = password(settings.password_file)
        if secret and not user:
            raise _bad(shown, "a password needs a user")
        if settings.ca_file is not None and not tls:
            raise _bad(shown, "ca_file is for mqtts:// only")
        prefix = _topic(settings.to.partition("://")[2].partition("/")[2], shown)
        node = settings.node or machine()
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        port = port or (8883 if tls else 1883)
        return cls(
            url.hostname, port, tls, settings.ca_file, user, secret, f"{host}:{port}", prefix, node
        )

    @property
    def base(self) -> str:
        """First levels of this machine's topics."""
        return f"{self.prefix}/{self.node}"


def _bad(shown: str, why: str) -> InputError:
    return InputError(
        f"{shown} cannot be used: {why}", "write mqtt://USER@HOST:PORT/PREFIX, or mqtts:// for TLS"
    )


def _topic(path: str, shown: str) -> str:
    """Return the topic prefix in a URL's path, or the default."""
    topic = unquote(path).strip("/") or _PREFIX
    if re.search(r"[+#]", topic):
        raise _bad(shown, "a prefix of topics has no wildcards (+ and #)")
    if topic.startswith("$") or len(topic) > _LONGEST or not topic.isprintable():
        raise _bad(shown, f"a prefix of topics is printable, {_LONGEST} long at most, without $")
    return topic


def machine() -> str:
    """Return a stable id of this machine that does not reveal its machine id or host name."""
    try:
        known = _MACHINE.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    return hashlib.sha256(f"mera-edge {known or socket.gethostname()}".encode()).hexdigest()[:8]


def identifier(room: str | None) -> str:
    """Return a room's id for topics and Home Assistant: ASCII letters, digits, ``_`` and ``-``."""
    plain = room or "room_1"
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    short = re.sub(r"[^A-Za-z0-9_-]+", "_", ascii_only)[:40]
    if short == plain:
        return short
    # A hash, since different names can be equal without their special characters.
    return f"{short}_{hashlib.sha256(plain.encode()).hexdigest()[:4]}".lstrip("_")
