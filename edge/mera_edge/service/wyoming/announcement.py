"""Telling the local network that the service is there, so that Home Assistant discovers it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from mera_edge.errors import InputError, MissingExtra, Unreachable
from mera_edge.sinks.mqtt.address import machine

TYPE = "_wyoming._tcp.local."
_GROUP = ("224.0.0.251", 5353)
"""Of multicast DNS: asked which of our addresses leads there."""


@contextlib.asynccontextmanager
async def announced(uri: str) -> AsyncIterator[None]:
    """Announce a service by multicast DNS, and take that back at the end.

    Only the network of its address is told. The name says nothing about the machine and stays the
    same: Home Assistant knows the service by it.

    Raises:
        InputError: it listens where no other machine gets.
        Unreachable: there is no network.
        MissingExtra: the package zeroconf is not installed.
    """
    try:
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
    except ImportError as error:
        raise MissingExtra("zeroconf", "zeroconf") from error
    host, port = place(uri)
    name = f"mera-edge-{machine()}"
    service = AsyncServiceInfo(
        TYPE, f"{name}.{TYPE}", port, server=f"{name}.local.", parsed_addresses=[host]
    )
    try:
        told = AsyncZeroconf(interfaces=[host])
    except OSError as error:
        raise _no_network(error) from error
    try:
        await told.async_register_service(service, allow_name_change=True)
        yield
    finally:
        await told.async_close()


def place(uri: str) -> tuple[str, int]:
    """Return the IPv4 address and the port under which others reach a service.

    Raises:
        InputError: they do not, or only by IPv6.
        Unreachable: there is no network.
    """
    url = urlsplit(uri)
    if url.scheme != "tcp" or not url.hostname or not url.port:
        raise _unreachable(uri)
    try:
        host = socket.getaddrinfo(url.hostname, url.port, socket.AF_INET)[0][4][0]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"{uri} cannot be announced: it has no IPv4 address",
            "listen on tcp://0.0.0.0:10300, or leave zeroconf off",
        ) from error
    address = ipaddress.ip_address(str(host))
    if address.is_loopback:
        raise _unreachable(uri)
    return (_own() if address.is_unspecified else str(address)), url.port


def _own() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(_GROUP)  # sends nothing
        except OSError as error:
            raise _no_network(error) from error
        return str(asked.getsockname()[0])


def _unreachable(uri: str) -> InputError:
    return InputError(
        f"{uri} cannot be announced: it is reachable from this machine only",
        "listen on tcp://0.0.0.0:10300, or leave zeroconf off",
    )


def _no_network(error: OSError) -> Unreachable:
    return Unreachable(
        f"the service cannot be announced ({error.strerror})",
        "connect the network, or leave zeroconf off",
    )
