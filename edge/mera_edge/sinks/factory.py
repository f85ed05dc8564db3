"""Opens the sinks that the settings name."""

from __future__ import annotations

import logging

from mera_edge.config import SinkSettings
from mera_edge.errors import InputError
from mera_edge.sinks import Destination
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sinks.switchboard import Switchboard

_LOG = logging.getLogger(__name__)


def open_sink(target: SinkSettings, switchboard: Switchboard) -> Destination:
    """Open a sink.

    Args:
        target: its settings.
        switchboard: for sinks that accept commands.

    Raises:
        MeraError: the scheme is not supported, or the sink cannot be used.
    """
    if target.scheme in ("mqtt", "mqtts"):
        from mera_edge.sinks.mqtt import MqttSink

        return MqttSink(target, switchboard)
    if target.scheme == "http":
        from mera_edge.sinks.http import HttpSink

        sink = HttpSink(target, switchboard)
        _LOG.info("live page: %s", sink.url)
        return sink
    _refuse(target)
    return JsonLines(target.to, target.keep_days)


def reach(target: SinkSettings) -> None:
    """Check that a URL's peer accepts the connection, or that its port is free.

    Raises:
        MeraError: it does not, or the scheme is not supported.
    """
    if target.scheme in ("mqtt", "mqtts"):
        from mera_edge.sinks.mqtt import MqttSink

        MqttSink(target).check()
    elif target.scheme == "http":
        from mera_edge.sinks.http.address import bind

        bind(target)[0].close()
    else:
        _refuse(target)


def _refuse(target: SinkSettings) -> None:
    if target.scheme is not None:
        raise InputError(
            f"{target.scheme}:// is not supported as a sink",
            "use `-` for stdout, a file, mqtt://HOST, or http://127.0.0.1:8765",
        )
