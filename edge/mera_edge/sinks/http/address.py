"""The address to serve on, and who has access."""

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
"""Minimum length in characters; shorter tokens can be guessed. `openssl rand -hex 16` makes 32."""


@dataclass(frozen=True)
class Access:
    """Who has access.

    Attributes:
        token: required in requests, unless ``None``.
        names: host names accepted in requests besides IP addresses, in lower case.
        trusted: addresses of proxies that authenticate users themselves.
    """

    token: str | None
    names: frozenset[str]
    trusted: frozenset[str]


def bind(target: SinkSettings) -> tuple[socket.socket, Access]:
    """Bind the port of a target.

    Raises:
        ConfigError: the URL or the token cannot be used.
        InputError: the port is not available.
    """
    host, port = _place(target.to)
    token = None if target.token_file is None else _token(target.token_file)
    bound = _bound(host, port)
    address = bound.getsockname()[0]
    if token is None and not ipaddress.ip_address(address).is_loopback:
        bound.close()
        raise ConfigError(
            f"sink {target.to}: {host} is reachable from other machines and has no token",
            "set token_file (`openssl rand -hex 16` makes a token), or use 127.0.0.1",
        )
    own = socket.gethostname().lower()
    names = {"localhost", host.lower(), own, f"{own.partition('.')[0]}.local"}
    names |= {name.lower() for name in target.hosts}
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
            "the URL of an http sink contains a user or a password", "use token_file instead"
        )
    if parts.path.strip("/") or parts.fragment:
        raise ConfigError(f"sink {url} contains a path", "use http://HOST:PORT")
    return ("127.0.0.1" if host == "localhost" else host), DEFAULT_PORT if port is None else port


def _token(file: str) -> str:
    token = secret(file, "token_file")
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"token_file {file}: needs at least {SHORTEST_TOKEN} printable ASCII characters",
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
            f"sink http://{host}: unknown host", "use an address of this machine"
        ) from error
    # asyncio sets TCP_NODELAY only if the protocol is given.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except OSError as error:
        bound.close()
        remedy = _REMEDIES.get(error.errno or 0, "choose another address")
        what = f"sink http://{host}: port {port} is not available ({error.strerror})"
        raise InputError(what, remedy.format(port=port)) from error
    return bound


_REMEDIES = {
    errno.EADDRINUSE: "stop the program that uses it (`ss -ltnp sport = :{port}` names it), or "
    "choose another port",
    errno.EADDRNOTAVAIL: "use an address of this machine: the sink serves, it sends nothing",
    errno.EACCES: "choose a port of 1024 or above",
}
