"""Serves a live page, events, state, health and metrics over HTTP. Needs the extra `http`."""

from mera_edge.sinks.http.sink import HttpSink

__all__ = ["HttpSink"]
