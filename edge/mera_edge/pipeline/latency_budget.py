"""What runs in a tick: a ladder of service levels, and a last look at the clock.

Pure logic: the time, the measured costs and the load of the machine are given to it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mera_edge.host.load import SystemLoad
from mera_edge.stages.face import FaceSearch


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """A level of service."""

    name: str
    face_every: int
    """Ticks from one picture that is read to the next; 0: none is."""
    partial_text: bool = True
    """Whether words are read before their utterance is over."""


LADDER = (
    ServiceLevel("full", 1),
    ServiceLevel("face every second tick", 2),
    ServiceLevel("whole utterances only", 2, partial_text=False),
    ServiceLevel("sound only", 0, partial_text=False),
)
"""From everything down to what is never left out: sound."""


Pressure = Literal["slow", "busy", "hot"]
"""Ticks exceed the budget, other processes take the processor, or the board is hot."""


@dataclass(frozen=True, slots=True)
class TickPlan:
    """What one tick may do. As it is made, everything."""

    face: bool = True
    face_before_ms: float = math.inf
    """When the tick has lasted longer than this already, the face is left out after all."""
    search: FaceSearch = field(default_factory=FaceSearch)
    known_face: bool = True
    """Whether a picture is read in which nothing but one face that is followed is expected."""
    partial_text: bool = True
    finalize_s: float = math.inf
    """Time that the final text of an utterance may take; what is left waits for the next tick."""
    power_saving: bool = False
    """Whether the recognizer rests while nobody speaks."""
    pressed_by: Pressure | None = None
    """Why there is less than full service."""


LIVE_SEARCH_S = 0.4
"""Time between the pictures in which a face is searched for where none was seen last; with the time
between looks it makes one search in 0.6 s."""

MANY_ROOMS = 3
"""From so many rooms on a face that is followed alone is read in every second tick only: it then is
at most two ticks old, a fraction of what counts as young enough."""

FINALIZE = 0.3
"""Share of the budget for the final text of an utterance. That of a short one is known at once,
that of 20 s some ticks later; where others have the processor, later still."""

CONTENDED = 0.5
"""Contention from which on other processes count as the reason for a slow tick."""

CALM = 0.5
"""Share of the budget: ticks that stay below it are calm, and what takes longer is too much as
soon as the processor is contended. Between it and the whole budget nothing changes."""

RECENT, TOO_MANY = 5, 2
"""A step down follows when this many of the newest ticks were too slow."""

HEAT_STEP_S = 10.0
"""A hot machine goes down a step each time this has passed: heat answers slowly."""

FIRST_STEP_S, NEXT_STEP_S = 2.0, 1.0
"""Calm that must last before the first step up after one down, and before the next."""
LONGEST_S = 5.0
"""The first of these doubles up to this when a step up did not last as long."""

FADING = 0.9
"""Of an expected cost, per tick: a stage that was left out for its cost is tried again."""


class Unlimited:
    """Runs everything in every tick, whatever it takes."""

    def reset(self) -> None:
        """Do nothing: there is nothing to remember."""

    def plan(self) -> TickPlan:
        """Return the same for every tick."""
        return TickPlan()

    def settle(
        self, now_s: float, total_ms: float, stages_ms: Mapping[str, float], load: SystemLoad
    ) -> None:
        """Do nothing: nothing is left out, whatever a tick costs."""


class LatencyBudget:
    """Keeps ticks within the budget by leaving things out, the least important first.

    Args:
        budget_ms: what a tick may take.
        rooms: how many the process has.
    """

    def __init__(self, budget_ms: float, rooms: int = 1) -> None:
        self._budget_ms = budget_ms
        self._known_every = 2 if rooms >= MANY_ROOMS else 1
        self.reset()

    def reset(self) -> None:
        """Go back to full service."""
        self._step = 0
        self._pressed_by: Pressure = "slow"
        self._tick = 0
        self._slow: deque[bool] = deque(maxlen=RECENT)
        self._face_ms = 0.0
        self._calm_since: float | None = None
        self._needed_s = FIRST_STEP_S
        self._patience_s = FIRST_STEP_S
        self._rose_s = self._cooled_s = -math.inf

    @property
    def level(self) -> ServiceLevel:
        """The level of service."""
        return LADDER[self._step]

    def plan(self) -> TickPlan:
        """Say what the next tick may do."""
        self._tick += 1
        level = self.level
        return TickPlan(
            face=level.face_every > 0 and self._tick % level.face_every == 0,
            face_before_ms=self._budget_ms - self._face_ms,
            search=FaceSearch(LIVE_SEARCH_S, power_saving=True),
            known_face=self._tick % self._known_every == 0,
            finalize_s=self._budget_ms * FINALIZE / 1000,
            power_saving=True,
            partial_text=level.partial_text,
            pressed_by=self._pressed_by if self._step else None,
        )

    def settle(
        self, now_s: float, total_ms: float, stages_ms: Mapping[str, float], load: SystemLoad
    ) -> None:
        """Learn what the tick cost, and change the level when it is time to.

        Args:
            now_s: stream time, never less than before.
            total_ms: what the tick took.
            stages_ms: what its stages took, by name; those that did not run are absent.
            load: of the machine, now.
        """
        # The dearest picture of late, not the mean: searching a picture costs more than following.
        self._face_ms = max(stages_ms.get("face", 0.0), self._face_ms * FADING)
        contended = load.contention >= CONTENDED
        limit_ms = self._budget_ms * (CALM if contended else 1.0)
        self._slow.append(total_ms > limit_ms)
        if contended or load.hot or total_ms > self._budget_ms * CALM:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now_s
        overheated = load.hot and now_s - self._cooled_s >= HEAT_STEP_S
        if sum(self._slow) >= TOO_MANY or overheated:
            self._pressed_by = "hot" if load.hot else "busy" if contended else "slow"
            self._go_down(now_s, load.hot)
        elif self._calm_since is not None and now_s - self._calm_since >= self._needed_s:
            self._go_up(now_s)

    def _go_down(self, now_s: float, hot: bool) -> None:
        if hot:
            self._cooled_s = now_s
        self._slow.clear()
        relapsed = now_s - self._rose_s < LONGEST_S
        self._patience_s = min(2 * self._patience_s, LONGEST_S) if relapsed else FIRST_STEP_S
        self._needed_s, self._calm_since = self._patience_s, None
        self._step = min(self._step + 1, len(LADDER) - 1)

    def _go_up(self, now_s: float) -> None:
        if self._step:
            self._step -= 1
            self._rose_s = now_s
        self._needed_s, self._calm_since = NEXT_STEP_S, now_s
