"""From what a user writes after --sink to a sink."""

from __future__ import annotations

import logging

from mera_edge.config import SinkSettings
from mera_edge.errors import InputError
from mera_edge.sinks import Destination
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sinks.switchboard import Switchboard

_LOG = logging.getLogger(__name__)


def open_sink(target: SinkSettings, switchboard: Switchboard) -> Destination:
    """Return the sink that the settings name.

    Args:
        target: the settings.
        switchboard: for sinks that take commands.

    Raises:
        MeraError: there is no such sink, or it cannot be used.
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
    """Look whether the peer that a URL names takes events, or its port can be had.

    Raises:
        MeraError: it does not, or there is no such sink.
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
