"""A stage that may fail without taking the others with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from mera_edge.bundle import Bundle
from mera_edge.bundle.manifest import RoleName
from mera_edge.errors import MeraError
from mera_edge.sources.backoff import Backoff

Stage = TypeVar("Stage")
Answer = TypeVar("Answer")

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Before a stage that failed is made again: loading a model takes longer than a tick."""

_LONGEST_REASON = 200


class Guard(Generic[Stage]):
    """Keeps the failures of a stage to itself, and makes the stage again after a while.

    Args:
        role: of the model, for messages.
        make: the stage, from its bundle.
        bundle: loads the model anew when the stage is made again.
        isolate: whether failures are kept here. Files are read without: what fails is raised.

    Attributes:
        stage: the newest one made.
        reason: why there is no answer at the moment.
    """

    def __init__(
        self, role: RoleName, make: Callable[[Bundle], Stage], bundle: Bundle, isolate: bool
    ) -> None:
        self._role, self._make, self._bundle, self._isolate = role, make, bundle, isolate
        self.stage = make(bundle)
        self.reset()

    def reset(self) -> None:
        """Forget what failed: stream time begins anew."""
        self.reason: str | None = None
        self._again_s = -math.inf
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)

    def run(self, now_s: float, use: Callable[[Stage], Answer]) -> Answer | None:
        """Use the stage.

        Args:
            now_s: stream time.
            use: what is done with it.

        Returns:
            What ``use`` does; ``None`` when it fails now, or failed a short while ago.
        """
        if now_s < self._again_s:
            return None
        try:
            if self.reason is not None:
                self._bundle.forget(self._role)
                self.stage = self._make(self._bundle)
            answer = use(self.stage)
        except Exception as error:  # whatever it is, the other stages go on
            if not self._isolate:
                raise
            self._failed(now_s, error)
            return None
        self.reason = None
        if now_s - self._again_s > LONGEST_WAIT_S:
            self._backoff.reset()
        return answer

    def _failed(self, now_s: float, error: Exception) -> None:
        what = error.what if isinstance(error, MeraError) else f"{type(error).__name__}: {error}"
        wait_s = self._backoff.wait_s()
        self._again_s = now_s + wait_s
        self.reason = f"{self._role} failed: {what[:_LONGEST_REASON]}; trying again in {wait_s:g} s"
