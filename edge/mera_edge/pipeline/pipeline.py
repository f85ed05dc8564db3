"""One tick: what was captured goes through the stages and comes out as one event."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.engine.onnx import give_back_memory
from mera_edge.events import EmotionEvent
from mera_edge.pipeline.event_builder import EventBuilder, Observation, TickCost
from mera_edge.pipeline.mode import Live, Mode
from mera_edge.pipeline.perception import Perception, SourceAvailability
from mera_edge.pipeline.stage_runner import Stages, StageTimes
from mera_edge.pipeline.stamp import run_info
from mera_edge.sinks import Receiver
from mera_edge.sources.base import Captured


@dataclass(frozen=True, slots=True)
class TickResult:
    """What came of one tick."""

    event: EmotionEvent
    observation: Observation
    """What the event follows from."""
    cost: TickCost
    stages_ms: Mapping[str, float]
    """What each stage took, of those that ran."""


Observer: TypeAlias = Receiver[TickResult]
"""Takes all that came of every tick."""


class Pipeline:
    """Voice, words and face of one room, fused.

    Args:
        bundle: the models.
        mode: whether a recording is read or people wait for the answer.
        recognition: how speech is recognized.

    Attributes:
        about: which models it runs.
    """

    def __init__(
        self,
        bundle: Bundle,
        mode: Mode,
        recognition: RecognitionSettings = RECOGNITION,
    ) -> None:
        self.about = run_info(bundle)
        self._mode = mode
        self._fallbacks = bundle.fallbacks
        self._budget = mode.budget()
        self._times = StageTimes()
        stages = Stages(bundle, self._times, mode.isolate)
        self._perception = Perception(stages, self._times, recognition)
        self._event_builder = EventBuilder(stages)
        self._plan = self._budget.plan()
        self._slept_s: int | None = None

    def reset(self) -> None:
        """Forget everything: the next tick is the first of a new stream."""
        self._budget.reset()
        self._perception.reset()
        self._event_builder.reset()
        self._times.reset()
        self._plan = self._budget.plan()

    def wake(self, slept_s: float) -> None:
        """Begin anew after a sleep of the machine; the next event says so."""
        self.reset()
        self._slept_s = round(slept_s)

    def switch(self, mode: Live) -> None:
        """Go on live with another budget, beside another number of rooms."""
        if mode != self._mode:
            self._mode, self._budget = mode, mode.budget()

    @property
    def transcript(self) -> str:
        """What was said since the last reset (the newest 1,000 utterances)."""
        return self._event_builder.transcript

    def warm_up(self) -> None:
        """Run every model once, so that the first real tick is not the slow one."""
        self._event_builder.warm_up(self._perception.warm_up())
        self.reset()
        give_back_memory()

    def needs_frame(self, now_s: float) -> bool:
        """Whether the next tick, at stream time ``now_s``, has a use for a picture."""
        return self._perception.needs_frame(now_s, self._plan)

    def is_resting(self, now_s: float) -> bool:
        """Return whether nobody is there at stream time ``now_s``: few answers are enough."""
        return self._perception.is_resting(now_s, self._plan)

    @property
    def is_waiting(self) -> bool:
        """Whether words will be final as soon as another thread is done."""
        return self._perception.is_waiting

    def words_due_s(self, now_s: float) -> float:
        """Return when, after a tick at stream time ``now_s``, words are expected to become final:
        a tick at that time, if nothing `is_waiting`, shows them without delay. Infinite if that is
        unknown."""
        return self._perception.words_due_s(now_s, self._plan)

    def tick(
        self, captured: Captured, now_s: float, available: SourceAvailability, last: bool = False
    ) -> TickResult:
        """Take what was captured since the last tick and answer.

        Args:
            captured: sound in order, and the newest picture.
            now_s: stream time.
            available: what the sources can give: whether silence is a missing microphone.
            last: the stream ends here; what the recognizer still holds is brought out.
        """
        self._times.begin()
        observation = self._perception.observe(captured, now_s, available, self._plan, last)
        self._event_builder.fuse(observation)
        where = {str(role): why for role, why in self._fallbacks.items()} or None
        cost = TickCost(
            *(time.time(), self._times.total_ms, self._mode.budget_ms, where),
            *(self._plan.pressed_by, self._slept_s),
        )
        self._slept_s = None
        stages_ms = self._times.end()
        self._budget.settle(now_s, cost.compute_ms, stages_ms, self._mode.load())
        if not captured.is_heard_only:  # else the face's turn is still to come
            self._plan = self._budget.plan()
        event = self._event_builder.event(observation, cost)
        return TickResult(event, observation, cost, stages_ms)
