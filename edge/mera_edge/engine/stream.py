"""Streaming models: the caches returned by one step are inputs of the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mera_edge.engine.protocol import Array, Engine
from mera_edge.errors import EngineError

_IN, _OUT = "cache_", "next_cache_"


class StreamModel:
    """Feeds every output ``next_cache_X`` of an engine back into its input ``cache_X``.

    Caches have fixed shapes and start at zero, so the cost of a step does not depend on the length
    of the stream.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._caches: dict[str, Array] = {}
        for name, spec in engine.inputs.items():
            if name.startswith(_IN):
                out = engine.outputs.get(_OUT + name[len(_IN) :])
                if out is None or out.shape != spec.shape:
                    raise EngineError(f"the model's input {name} has no output of the same shape")
                self._caches[name] = np.zeros(spec.shape, spec.dtype)

    def step(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one chunk and return the outputs that are not caches."""
        outputs = self._engine.run({**feeds, **self._caches})
        for name in self._caches:
            self._caches[name] = outputs.pop(_OUT + name[len(_IN) :])
        return outputs

    def reset(self) -> None:
        """Start a new stream."""
        for cache in self._caches.values():
            cache.fill(0)


class FrameModel:
    """A `StreamModel` whose input ``frames`` is a chunk of a fixed number of log-mel frames.

    The outputs do not depend on how the frames are split between calls.
    """

    def __init__(self, engine: Engine) -> None:
        self._model = StreamModel(engine)
        _, self.chunk, self._bins = engine.inputs["frames"].shape
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._model.reset()
        self._waiting = np.empty((0, self._bins), np.float32)

    @property
    def pending(self) -> int:
        """Number of buffered frames, less than a chunk."""
        return len(self._waiting)

    def accept(self, frames: Array) -> list[dict[str, Array]]:
        """Return the outputs of every chunk that ``frames`` ``[n, bins]`` completes."""
        waiting = np.concatenate([self._waiting, frames])
        complete = len(waiting) // self.chunk * self.chunk
        self._waiting = waiting[complete:]
        return [
            self._model.step({"frames": waiting[None, start : start + self.chunk]})
            for start in range(0, complete, self.chunk)
        ]
