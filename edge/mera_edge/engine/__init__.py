"""Engines run a model file; everything above knows only the `Engine` protocol."""

from mera_edge.engine.protocol import Engine, TensorSpec

__all__ = ["Engine", "TensorSpec"]
