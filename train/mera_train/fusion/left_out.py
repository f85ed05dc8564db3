"""Whether one's own clips helped: everybody is left out once, and judged by what the others taught.

A few dozen clips are too few to hold some of them out: whose clips these are would decide. So the
same training runs once more for every person, without that person, and all answers count together.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mera_edge.metrics.confusion import LEAST_GROUPS, draws
from mera_train.fusion.clips import Clips
from mera_train.fusion.config import Config
from mera_train.fusion.model import Mtme
from mera_train.fusion.supervision import Supervised
from mera_train.loop import fit
from mera_train.task import Task

LEAST, MOST = 3, 10
"""People without whom nobody can be left out, and rounds: more people are left out in groups."""


@dataclass(frozen=True)
class LeftOut:
    """What the fusion says about people whom it did not learn from, before and after."""

    people: int
    clips: int
    before: float
    """Share of the clips whose emotion was found."""
    after: float
    interval_95: tuple[float, float]
    """Of ``after - before``; people drawn anew where there are ten or more, else clips."""

    @property
    def told(self) -> str:
        """The result in one line."""
        low, high = self.interval_95
        verdict = (
            "your clips helped"
            if low > 0
            else "your clips made it worse: keep the fusion that training began from"
            if high < 0
            else "that may be chance: give more clips, of more people"
        )
        return (
            f"each of {self.people} people left out once, {self.clips} clips: "
            f"{self.before:.0%} right before, {self.after:.0%} after "
            f"(difference {100 * (self.after - self.before):+.0f} points, 95 %: "
            f"{100 * low:+.0f} to {100 * high:+.0f}): {verdict}"
        )


def left_out(
    task: Callable[[Mtme, Clips, Clips], Task[Supervised]],
    config: Config,
    start: Mtme,
    clips: Clips,
    people: Sequence[str],
) -> LeftOut | None:
    """Train without each person, and ask about that person's clips.

    Args:
        task: makes the training from where to begin, what to learn from and what to choose by.
        config: how it trains.
        start: where training begins.
        clips: all of them; those without an emotion teach, but are not asked about.
        people: whose each clip is, empty where unknown.

    Returns:
        ``None`` with fewer than three known people, or where no clip of theirs has an emotion.
    """
    names = sorted({name for name in people if name})
    if len(names) < LEAST:
        return None
    whose = np.array([names.index(name) if name else -1 for name in people])
    rounds = min(MOST, len(names))
    asked_about = (clips.emotions.numpy() >= 0) & (whose >= 0)
    if not asked_about.any():
        return None
    before, after = np.zeros(len(people), bool), np.zeros(len(people), bool)
    for number in range(rounds):
        out = (whose >= 0) & (whose % rounds == number)
        chooses = (whose >= 0) & (whose % rounds == (number + 1) % rounds)
        learnt = task(start, _rows(clips, ~out & ~chooses), _rows(clips, chooses))
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
            fit(learnt, config.loop, Path(scratch), {"left out": str(number)}, False)
        asked = _rows(clips, out)
        before[out], after[out] = _right(start, asked), _right(learnt.model.network, asked)
    gained = after[asked_about].astype(float) - before[asked_about]
    return LeftOut(
        people=len(names),
        clips=int(asked_about.sum()),
        before=float(before[asked_about].mean()),
        after=float(after[asked_about].mean()),
        interval_95=_interval(gained, whose[asked_about]),
    )


def _rows(clips: Clips, chosen: NDArray[np.bool_]) -> Clips:
    return clips.at(torch.from_numpy(np.flatnonzero(chosen)))


def _right(network: Mtme, clips: Clips) -> NDArray[np.bool_]:
    network.eval()
    with torch.inference_mode():
        fused = clips.through(network, torch.ones_like(clips.present))
    found: NDArray[np.bool_] = (fused.logits.argmax(dim=1) == clips.emotions).numpy()
    return found


def _interval(gained: NDArray[np.float64], whose: NDArray[np.int64]) -> tuple[float, float]:
    _, group = np.unique(whose, return_inverse=True)
    if group.max() + 1 < LEAST_GROUPS:
        group = np.arange(len(gained))
    sums, counts = np.bincount(group, gained), np.bincount(group)
    drawn = draws(len(sums))
    low, high = np.percentile(drawn @ sums / (drawn @ counts), (2.5, 97.5))
    return float(low), float(high)


def as_metrics(found: LeftOut) -> dict[str, Any]:
    """Return what goes into ``metrics.json``."""
    return {
        "people": found.people,
        "clips": found.clips,
        "before": round(found.before, 4),
        "after": round(found.after, 4),
        "difference_95": [round(bound, 4) for bound in found.interval_95],
    }
