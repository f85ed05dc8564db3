"""The one door to a stage: whatever is asked of it is timed, isolated and checked here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from mera_edge.backoff import Backoff
from mera_edge.bundle import Bundle
from mera_edge.errors import EngineError, MeraError

Stage = TypeVar("Stage")
Answer = TypeVar("Answer")

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Before a stage that failed is made again: loading a model takes longer than a tick."""

_LONGEST_REASON = 200


class StageTimes:
    """What each stage of a tick takes, in wall-clock milliseconds.

    Wall-clock time on purpose: when another process has the processor, the answer is late all
    the same. What a stage takes between two ticks counts for the later one.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        self._stages_ms: dict[str, float] = {}
        self.begin()

    def begin(self) -> None:
        """Begin a tick."""
        self._began = time.perf_counter() - sum(self._stages_ms.values()) / 1000

    @property
    def total_ms(self) -> float:
        """Time since the tick began."""
        return (time.perf_counter() - self._began) * 1000

    def add(self, name: str, took_ms: float) -> None:
        """Count time to a stage."""
        self._stages_ms[name] = self._stages_ms.get(name, 0.0) + took_ms

    def end(self) -> Mapping[str, float]:
        """End the tick and return what its stages took, those that ran."""
        stages_ms, self._stages_ms = self._stages_ms, {}
        return stages_ms


class StageRunner(Generic[Stage]):
    """Holds a stage, which nobody else can: uses it, times it, and keeps its failures to itself.

    A stage that raises, or whose answer has numbers that are not finite, is left out and made
    again after a while.

    Args:
        name: of the stage, for messages and times.
        make: the stage.
        times: of the pipeline's ticks.
        isolate: whether failures are kept here. Files are read without: what fails is raised.
        forget: called before the stage is made again, so that its model is loaded anew.

    Attributes:
        reason: why there is no answer at the moment.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Stage],
        times: StageTimes,
        isolate: bool,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._make, self._forget = name, make, forget
        self._times, self._isolate = times, isolate
        self.__stage, self._broken = make(), False
        self.reset()

    def reset(self) -> None:
        """Forget what failed: stream time begins anew."""
        self.reason: str | None = None
        self._again_s = -math.inf
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)

    def call(
        self, now_s: float, use: Callable[[Stage], Answer], part: str | None = None
    ) -> Answer | None:
        """Use the stage.

        Args:
            now_s: stream time.
            use: what is done with it.
            part: a name of its own for the time of what the stage does on the side.

        Returns:
            What ``use`` does; ``None`` when it fails now, or failed a short while ago.

        Raises:
            EngineError: an answer is not finite, where failures are not kept here.
        """
        if now_s < self._again_s:
            return None
        began = time.perf_counter()
        try:
            if self._broken:
                self._forget()
                self.__stage, self._broken = self._make(), False
            answer = use(self.__stage)
            if not _is_finite(answer):
                raise EngineError(
                    f"{self._name} returned NaN or infinity", "check its model and its input"
                )
        except Exception as error:  # whatever it is, the other stages go on
            if not self._isolate:
                raise
            self._failed(now_s, error)
            return None
        finally:
            self._times.add(part or self._name, (time.perf_counter() - began) * 1000)
        self.reason = None
        if now_s - self._again_s > LONGEST_WAIT_S:
            self._backoff.reset()
        return answer

    def _failed(self, now_s: float, error: Exception) -> None:
        what = error.what if isinstance(error, MeraError) else f"{type(error).__name__}: {error}"
        wait_s = self._backoff.wait_s()
        self._broken, self._again_s = True, now_s + wait_s
        self.reason = f"{self._name} failed: {what[:_LONGEST_REASON]}; trying again in {wait_s:g} s"


class Stages:
    """Makes the runners of one pipeline.

    Args:
        bundle: the models.
        times: of the pipeline's ticks.
        isolate: see `StageRunner`.
    """

    def __init__(self, bundle: Bundle, times: StageTimes, isolate: bool = False) -> None:
        self._bundle, self._times, self._isolate = bundle, times, isolate

    def runner(self, name: str, make: Callable[[Bundle], Stage]) -> StageRunner[Stage]:
        """Make a stage from the bundle, behind its runner."""
        bundle = self._bundle
        return StageRunner(
            name, partial(make, bundle), self._times, self._isolate, partial(bundle.forget, name)
        )


def _is_finite(answer: object) -> bool:
    """Whether all numbers of an answer are finite."""
    if answer is None or isinstance(answer, _DISCRETE):
        return True
    if isinstance(answer, float):
        return math.isfinite(answer)
    if isinstance(answer, (np.ndarray, np.floating)):
        return bool(np.isfinite(answer).all())
    if isinstance(answer, (list, tuple)):
        return all(map(_is_finite, answer))
    if isinstance(answer, dict):
        return all(map(_is_finite, answer.values()))
    if is_dataclass(answer):
        return all(_is_finite(getattr(answer, field.name)) for field in fields(answer))
    return True


_DISCRETE = (str, int)
