"""Where to serve, and to whom: the address, the token, the names that a request may use."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from mera_edge.config import SinkSettings
from mera_edge.credentials import secret
from mera_edge.errors import ConfigError, InputError

DEFAULT_PORT = 8765

SHORTEST_TOKEN = 16
"""Characters: one that is shorter can be guessed. `openssl rand -hex 16` makes one of 32."""


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        token: what a request must carry; no token is asked for when ``None``.
        names: host names that a request may use beside addresses in numbers, in lower case.
        trusted: addresses of proxies that check their users themselves.
    """

    token: str | None
    names: frozenset[str]
    trusted: frozenset[str]


def bind(target: SinkSettings) -> tuple[socket.socket, Access]:
    """Take the port of a target.

    Raises:
        ConfigError: the URL or the token cannot be used.
        InputError: the port cannot be had.
    """
    host, port = _place(target.to)
    token = None if target.token_file is None else _token(target.token_file)
    bound = _bound(host, port)
    address = bound.getsockname()[0]
    if token is None and not ipaddress.ip_address(address).is_loopback:
        bound.close()
        raise ConfigError(
            f"sink {target.to}: {host} is reachable from other machines and has no token",
            "set token_file (`openssl rand -hex 16` makes a token), or serve on 127.0.0.1",
        )
    own = socket.gethostname().lower()
    names = {"localhost", host.lower(), own, f"{own.partition('.')[0]}.local", *target.hosts}
    access = Access(token, frozenset(names), frozenset(target.trusted))
    return bound, access


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise ConfigError(f"sink {url}: {error}", "write http://127.0.0.1:8765") from error
    if "@" in parts.netloc:
        raise ConfigError(
            "the URL of a web page has a user or a password", "set token_file, and leave them out"
        )
    if parts.path.strip("/") or parts.fragment:
        raise ConfigError(f"sink {url} has a path", "write http://HOST:PORT")
    return ("127.0.0.1" if host == "localhost" else host), DEFAULT_PORT if port is None else port


def _token(file: str) -> str:
    token = secret(file, "token_file")
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"token_file {file}: a token has at least {SHORTEST_TOKEN} printable ASCII characters",
            "`openssl rand -hex 16` makes one",
        )
    return token


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"sink http://{host}: the host is unknown", "give an address of this machine"
        ) from error
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except OSError as error:
        bound.close()
        remedy = _REMEDIES.get(error.errno or 0, "choose another address")
        what = f"sink http://{host}: port {port} cannot be had ({error.strerror})"
        raise InputError(what, remedy.format(port=port)) from error
    return bound


_REMEDIES = {
    errno.EADDRINUSE: "end the program that has it (`ss -ltnp sport = :{port}` names it), or "
    "choose another port",
    errno.EADDRNOTAVAIL: "give an address of this machine: the page is served, not sent",
    errno.EACCES: "choose a port from 1024 on",
}
