"""A bundle of which one role runs on another engine: a candidate, or one that is listened to."""

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
    """As ``bundle``, but ``role`` runs on ``engine``; the stages do not notice."""

    def __init__(self, bundle: Bundle, role: RoleName, engine: Engine) -> None:
        super().__init__(bundle.directory, bundle.manifest)
        self._replaced, self._engine = role, engine

    def role(self, name: str) -> Role:
        found = super().role(name)
        if name != self._replaced:
            return found
        return _Replaced(**vars(found), replacement=self._engine)


class RecordingEngine:
    """An engine that keeps what it is fed: real chunks with the caches they really met."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fed: list[dict[str, Array]] = []

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._engine.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._engine.outputs

    @property
    def provider(self) -> str:
        return self._engine.provider

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._engine.metadata

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        # Copied: a stage may use its buffers again.
        self._fed.append({name: np.array(value) for name, value in feeds.items()})
        return self._engine.run(feeds)

    def take(self) -> list[dict[str, Array]]:
        """Return what was fed since the last call, and forget it."""
        fed, self._fed = self._fed, []
        return fed
