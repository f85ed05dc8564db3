"""Engines run model files; other packages use them through the `Engine` protocol."""

from mera_edge.engine.protocol import Engine, TensorSpec

__all__ = ["Engine", "TensorSpec"]
