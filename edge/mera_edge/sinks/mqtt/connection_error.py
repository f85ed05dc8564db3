"""Translates connection failures of a broker into errors with remedies."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from mera_edge.errors import InputError, MeraError, Unreachable
from mera_edge.sinks.mqtt.address import Address


def connection_error(error: Exception, address: Address) -> MeraError:
    """Return the error for a failed connection."""
    shown = f"broker {address.shown}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, shown)
    if isinstance(error, ssl.SSLError):
        return InputError(
            f"{shown} does not accept TLS ({error.reason})",
            "check the port (8883 is usual with TLS), or write mqtt://",
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        return Unreachable(
            f"{shown}: the host name cannot be resolved", "check the name, and this machine's DNS"
        )
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"{shown} refuses the connection",
            "start it, or check the port (1883 is usual, 8883 with TLS)",
        )
    if isinstance(error, ConnectionResetError):
        return refusal(None, address, ended=True)
    why = getattr(error, "strerror", None) or str(error) or "no answer"
    return Unreachable(
        f"{shown} does not answer ({why})", "check its address, the network and the firewall"
    )


_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a mismatch of host name or IP address with the certificate."""


def _untrusted(error: ssl.SSLCertVerificationError, shown: str) -> MeraError:
    if error.verify_code in _OTHER_NAME:
        return InputError(
            f"the certificate of {shown} is for another name",
            "write the name that is in the certificate: mqtts://NAME",
        )
    return InputError(
        f"the certificate of {shown} is not trusted ({error.verify_message})",
        "set ca_file to the certificate of the CA that signed it",
    )


_UNSUPPORTED, _BAD_USER, _NOT_AUTHORIZED = 132, 134, 135
"""Reason codes of MQTT 5."""
_BUSY = (136, 137, 159)


def refusal(code: Any, address: Address, ended: bool) -> MeraError:
    """Return the error for a connection that a broker did not accept.

    Args:
        code: reason code of its answer; ``None`` without an answer.
        address: of the broker.
        ended: whether it closed the connection.
    """
    shown = f"broker {address.shown}"
    if code is None or code.value in _BUSY:
        does = "closes the connection" if ended else "does not answer"
        return Unreachable(
            f"{shown} {does if code is None else f'is busy ({code})'}",
            "check the port, and whether it speaks TLS (mqtts://) or not (mqtt://)",
        )
    if code.value in (_BAD_USER, _NOT_AUTHORIZED):
        who = f"the user {address.user}" if address.user else "who gives no user"
        return InputError(
            f"{shown} refuses {who} ({code})",
            "check the user in the URL, mqtt://USER@HOST, and the password in password_file",
        )
    if code.value == _UNSUPPORTED:
        return InputError(
            f"{shown} does not speak MQTT 5", "update it; Mosquitto supports it since 1.6"
        )
    return InputError(f"{shown} refuses the connection ({code})", "see the broker's log")
