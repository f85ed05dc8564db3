"""One tick: what was captured goes through the stages and comes out as one event."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.engine.onnx import give_back_memory
from mera_edge.events import EmotionEvent
from mera_edge.runtime.budget import Budget, Plan, Strain
from mera_edge.runtime.conclusion import Conclusion, Cost, Observation
from mera_edge.runtime.perception import Perception, View
from mera_edge.runtime.stage_runner import Stages, StageTimes
from mera_edge.runtime.stamp import about
from mera_edge.sources.base import Captured


class Pipeline:
    """Voice, words and face of one room, fused.

    Args:
        bundle: the models.
        budget_ms: what a tick may take to compute; a tick that takes longer is marked late.
        strain: says how hard the machine is pressed. With it the pipeline rests while nothing
            happens, leaves things out to stay within the budget, and goes on without a stage that
            fails; without it everything runs in every tick, whatever it takes, and what fails is
            raised.
        recognition: how speech is recognized.
        rooms: how many the process has.

    Attributes:
        about: which models it runs.
        newest: what the newest event follows from.
        stages_ms: what the stages of the newest tick took, those that ran.
    """

    newest: tuple[Observation, Cost]
    stages_ms: Mapping[str, float]

    def __init__(
        self,
        bundle: Bundle,
        budget_ms: int = 100,
        strain: Callable[[], Strain] | None = None,
        recognition: RecognitionSettings = RECOGNITION,
        rooms: int = 1,
    ) -> None:
        self._shares = budget_ms, rooms
        self.about = about(bundle)
        self._fallbacks = bundle.fallbacks
        self._strain = strain
        self._budget = Budget(budget_ms, rooms)
        self._times = StageTimes()
        stages = Stages(bundle, self._times, isolate=strain is not None)
        self._perception = Perception(stages, self._times, recognition)
        self._conclusion = Conclusion(stages)
        self._plan = self._next_plan()

    def reset(self) -> None:
        """Forget everything: the next tick is the first of a new stream."""
        self._budget.reset()
        self._perception.reset()
        self._conclusion.reset()
        self._times.reset()
        self._plan = self._next_plan()

    def share(self, budget_ms: int, rooms: int) -> None:
        """Go on with another budget, beside another number of rooms."""
        if (budget_ms, rooms) != self._shares:
            self._shares = budget_ms, rooms
            self._budget = Budget(budget_ms, rooms)

    @property
    def transcript(self) -> str:
        """What was said since the last reset (the newest 1,000 utterances)."""
        return self._conclusion.transcript

    def warm_up(self) -> None:
        """Run every model once, so that the first real tick is not the slow one."""
        self._conclusion.warm_up(self._perception.warm_up())
        self.reset()
        give_back_memory()

    def looks(self, now_s: float) -> bool:
        """Whether the next tick, at stream time ``now_s``, has a use for a picture."""
        return self._perception.looks(now_s, self._plan)

    def tick(
        self, captured: Captured, now_s: float, view: View, last: bool = False
    ) -> EmotionEvent:
        """Take what was captured since the last tick and answer.

        Args:
            captured: sound in order, and the newest picture.
            now_s: stream time.
            view: what the sources can give: whether silence is a missing microphone.
            last: the stream ends here; what the recognizer still holds is brought out.
        """
        self._times.begin()
        observation = self._perception.observe(captured, now_s, view, self._plan, last)
        self._conclusion.fuse(observation)
        where = {str(role): why for role, why in self._fallbacks.items()} or None
        cost = Cost(time.time(), self._times.total_ms, self._shares[0], where)
        self.stages_ms = self._times.end()
        if self._strain is not None:
            self._budget.settle(now_s, cost.compute_ms, self.stages_ms, self._strain())
        self._plan = self._next_plan()
        self.newest = observation, cost
        return self._conclusion.event(observation, cost)

    def _next_plan(self) -> Plan:
        return Plan() if self._strain is None else self._budget.plan()
