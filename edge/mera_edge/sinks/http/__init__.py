"""A live page, events, state, health and metrics, served. Needs the extra `http`."""

from mera_edge.sinks.http.sink import HttpSink

__all__ = ["HttpSink"]
