"""Leave-one-person-out comparison: did training on the user's own clips help?

A few dozen clips are too few for a held-out set: the result would depend on whose clips are in it.
So training is repeated once per person, without that person, and all predictions are pooled.
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
"""Minimum number of people, and maximum number of rounds: more people are left out in groups."""


@dataclass(frozen=True)
class LeftOut:
    """Performance of the fusion on left-out people, before and after training."""

    people: int
    clips: int
    before: float
    """Accuracy of the emotion, or the mean error if `sentiment`."""
    after: float
    interval_95: tuple[float, float]
    """Interval of the gain, by bootstrap over people if there are ten or more, else over clips."""
    sentiment: bool = False
    """Whether no clip has an emotion, so that the sentiment is compared."""

    @property
    def gained(self) -> float:
        """The improvement."""
        return self.before - self.after if self.sentiment else self.after - self.before

    @property
    def kept(self) -> bool:
        """Whether to keep the new weights."""
        return self.gained > 0

    def sentence(self) -> str:
        """Describe the result, without a full stop."""
        low, high = self.interval_95
        verdict = (
            "your clips helped"
            if low > 0
            else "your clips made it worse"
            if high < 0
            else "that may be chance: give more clips, of more people"
        )
        found = (
            f"sentiment off by {self.before:.2f} before, {self.after:.2f} after "
            f"({self.gained:+.2f} better, 95 %: {low:+.2f} to {high:+.2f})"
            if self.sentiment
            else f"{self.before:.0%} right before, {self.after:.0%} after "
            f"(difference {100 * self.gained:+.0f} points, 95 %: "
            f"{100 * low:+.0f} to {100 * high:+.0f})"
        )
        which = "what was learnt is kept" if self.kept else "what it began from is kept"
        return (
            f"each of {self.people} people left out once, {self.clips} clips: "
            f"{found}: {verdict}; {which}"
        )

    def as_metrics(self) -> dict[str, Any]:
        """Return it in the form of the metrics."""
        return {
            "people": self.people,
            "clips": self.clips,
            "figure": "sentiment error" if self.sentiment else "accuracy",
            "before": round(self.before, 4),
            "after": round(self.after, 4),
            "gained_95": [round(bound, 4) for bound in self.interval_95],
            "kept": self.kept,
        }


def left_out(
    task: Callable[[Mtme, Clips, Clips], Task[Supervised]],
    config: Config,
    start: Mtme,
    clips: Clips,
    people: Sequence[str],
) -> LeftOut | None:
    """Train without each person, and predict that person's clips.

    Args:
        task: creates the training task from initial weights, training clips and selection clips.
        config: training settings.
        start: initial weights.
        clips: all clips; if some have an emotion, those without are used for training only.
        people: person of each clip; empty if unknown.

    Returns:
        ``None`` with fewer than three known people.
    """
    names = sorted({name for name in people if name})
    if len(names) < LEAST:
        return None
    whose = np.array([names.index(name) if name else -1 for name in people])
    rounds = min(MOST, len(names))
    named = clips.emotions.numpy() >= 0
    sentiment = not (named & (whose >= 0)).any()
    asked_about = whose >= 0 if sentiment else named & (whose >= 0)
    before, after = np.zeros(len(people)), np.zeros(len(people))
    for number in range(rounds):
        out = (whose >= 0) & (whose % rounds == number)
        chooses = (whose >= 0) & (whose % rounds == (number + 1) % rounds)
        learnt = task(start, clips.at(~out & ~chooses), clips.at(chooses))
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
            fit(learnt, config.loop, Path(scratch), {"left out": str(number)}, False)
        asked = clips.at(out)
        before[out] = errors(start, asked, sentiment)
        after[out] = errors(learnt.model.network, asked, sentiment)
    lost, left = before[asked_about], after[asked_about]
    return LeftOut(
        people=len(names),
        clips=int(asked_about.sum()),
        before=float(lost.mean() if sentiment else 1 - lost.mean()),
        after=float(left.mean() if sentiment else 1 - left.mean()),
        interval_95=_interval(lost - left, whose[asked_about]),
        sentiment=sentiment,
    )


def errors(network: Mtme, clips: Clips, sentiment: bool) -> NDArray[np.float64]:
    """Return the absolute error of the sentiment of every clip, or 0/1 errors of its emotion."""
    network.eval()
    with torch.inference_mode():
        fused = clips.through(network, torch.ones_like(clips.present))
    if sentiment:
        return (fused.valence.clamp(-1, 1) - clips.valence).abs().double().numpy()
    return (fused.logits.argmax(dim=1) != clips.emotions).double().numpy()


def _interval(gained: NDArray[np.float64], whose: NDArray[np.int64]) -> tuple[float, float]:
    _, group = np.unique(whose, return_inverse=True)
    if group.max() + 1 < LEAST_GROUPS:
        group = np.arange(len(gained))
    sums, counts = np.bincount(group, gained), np.bincount(group)
    drawn = draws(len(sums))
    low, high = np.percentile(drawn @ sums / (drawn @ counts), (2.5, 97.5))
    return float(low), float(high)
