"""A bundle with the engine of one role replaced: by a candidate, or by one that records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mera_edge.bundle import Bundle, Role, RoleName
from mera_edge.engine import Engine, TensorSpec
from mera_edge.engine.protocol import Array


@dataclass(frozen=True)
class _Replaced(Role):
    replacement: Engine

    def engine(self) -> Engine:
        return self.replacement


class InstrumentedBundle(Bundle):
    """``bundle`` with ``role`` running on ``engine``."""

    def __init__(self, bundle: Bundle, role: RoleName, engine: Engine) -> None:
        super().__init__(bundle.directory, bundle.manifest)
        self._replaced, self._engine = role, engine

    def role(self, name: str) -> Role:
        """Return a role; the replaced one runs on the engine that was given."""
        found = super().role(name)
        if name != self._replaced:
            return found
        return _Replaced(**vars(found), replacement=self._engine)


class RecordingEngine:
    """An engine that records its feeds: chunks together with their caches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fed: list[dict[str, Array]] = []

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Of the engine that is recorded."""
        return self._engine.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Of the engine that is recorded."""
        return self._engine.outputs

    @property
    def provider(self) -> str:
        """Of the engine that is recorded."""
        return self._engine.provider

    @property
    def metadata(self) -> Mapping[str, str]:
        """Of the engine that is recorded."""
        return self._engine.metadata

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Record the feeds and run the engine; see `Engine.run`."""
        # Copied, because stages reuse their buffers.
        self._fed.append({name: np.array(value) for name, value in feeds.items()})
        return self._engine.run(feeds)

    def take(self) -> list[dict[str, Array]]:
        """Return the feeds since the last call and clear them."""
        fed, self._fed = self._fed, []
        return fed
