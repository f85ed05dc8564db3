"""How a pipeline runs: over a recording, or live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from mera_edge.host.load import SystemLoad
from mera_edge.pipeline.latency_budget import LatencyBudget, Unlimited

BUDGET_MS = 100


@dataclass(frozen=True, slots=True)
class Offline:
    """Everything runs in every tick, whatever it takes, and what fails is raised."""

    budget_ms: int = BUDGET_MS
    """What events compare their cost with."""
    isolate: ClassVar[bool] = False

    def budget(self) -> Unlimited:
        """Return what plans the ticks."""
        return Unlimited()

    def load(self) -> SystemLoad:
        """Return that of a machine which is not asked: there is time."""
        return SystemLoad()


@dataclass(frozen=True, slots=True)
class Live:
    """Ticks keep to a budget, and the others go on without a stage that fails."""

    load: Callable[[], SystemLoad]
    """How hard the machine is pressed; see `mera_edge.host.load.LoadMonitor`."""
    budget_ms: int = BUDGET_MS
    """What a tick may take to compute. Things are left out to stay below it, and what nobody would
    miss while nothing happens; a tick that takes longer all the same is marked late."""
    rooms: int = 1
    """How many the process has."""
    isolate: ClassVar[bool] = True

    def budget(self) -> LatencyBudget:
        """Return what plans the ticks."""
        return LatencyBudget(self.budget_ms, self.rooms)


Mode = Offline | Live
