"""Whether what was learnt is to be kept, asked of people not learnt from.

The valid people are few: what was learnt is kept unless it is worse for them by more than chance.
So it is for every role; what follows is for the encoders of emotions.
Where most people have examples of one label only it has to be better, as who speaks and what is
felt are one there: the training people are left out by thirds, an encoder learns from the others
each time, and all of them are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import comb
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mera_train.checkpoint import Checkpoint
from mera_train.fingerprint import Made
from mera_train.loop import fit
from mera_train.own.encoder import Encoder, Network, Settings
from mera_train.own.examples import Example
from mera_train.own.splits import confounded, hold_out
from mera_train.own.task import OwnTask, classification_metrics, rows_of

PARTS = 3
"""In which people are left out."""

FOLDER = "left_out"
"""In the directory of the run."""

CHANCE = 0.05
"""Below this it is no chance that what was learnt is right less often (McNemar, one-sided), or has
more errors in most examples (sign test)."""


@dataclass(frozen=True)
class Comparison:
    """A figure of both, on examples that neither learnt from."""

    learnt: float
    begun: float
    n: int
    people: int
    left_out: bool
    """Whether people were left out, or the valid ones were asked."""
    chance: float
    """Of so many mistakes that only what was learnt makes, were both equally good."""
    figure: str = "UAR"
    asked: str = "people"
    """Who or what the valid examples are of."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Comparison:
        """Return what `as_metrics` returned."""
        return cls(**{field.name: told[field.name] for field in fields(cls)})

    @property
    def kept(self) -> bool:
        """Whether what was learnt is to be kept."""
        return self.learnt > self.begun if self.left_out else self.chance >= CHANCE

    def as_metrics(self) -> dict[str, Any]:
        """As it is among the metrics."""
        return {**asdict(self), "kept": self.kept}

    def sentence(self) -> str:
        """Say how it came out, without a full stop."""
        who = "people who were left out by thirds" if self.left_out else f"valid {self.asked}"
        which = "what was learnt is kept" if self.kept else "what it began from is kept"
        return (
            f"{which}: for {who} {self.figure} {self.learnt:.1%} of what was learnt, "
            f"{self.begun:.1%} of what it began from (n = {self.n})"
        )

    def advice(self) -> str:
        """Say how it came out, and what keeps what was learnt where it is not."""
        return self.sentence() + ("" if self.kept else "; --keep-learnt keeps what was learnt")


def compare(
    encoder: Encoder[Network],
    start: Checkpoint,
    model: Network,
    examples: Sequence[Example],
    config: Settings,
    out: Path,
    made: Made,
    resume: bool | Path,
    tell: Callable[[str], None],
) -> Comparison:
    """Compare what was learnt with what it began from.

    Args:
        encoder: of the role.
        start: what training began from.
        model: what was learnt.
        examples: with their splits.
        config: of the training.
        out: the directory of the run; trainings without some people are in `FOLDER`.
        made: what the run is made of.
        resume: go on from trainings that are there.
        tell: is told how it came out.
    """
    parts: list[tuple[list[int], Tensor]] = []
    left_out = bool(confounded(examples))
    if left_out:
        for number, some in enumerate(_without(examples)):
            learner = encoder.network(start, rows_of(some, "train"))
            task = OwnTask(encoder, learner, some, config)
            fit(task, config.loop, out / FOLDER / str(number + 1), made, bool(resume))
            rows = rows_of(some, FOLDER)
            parts.append((rows, encoder.scores(learner, rows)))
    else:
        rows = rows_of(examples, "valid")
        parts.append((rows, encoder.scores(model, rows)))
    asked = [row for rows, _ in parts for row in rows]
    truth = [encoder.labels.index(examples[row].label) for row in asked]
    before = encoder.network(start, rows_of(examples, "train"))
    before = before.to(model.temperature.device).eval()
    scores = torch.cat([scores for _, scores in parts]), encoder.scores(before, asked)
    right, right_before = (s.argmax(1) == torch.tensor(truth) for s in scores)
    gained, lost = int((right & ~right_before).sum()), int((right_before & ~right).sum())
    learnt, begun = (classification_metrics(each, truth, encoder.labels)["uar"] for each in scores)
    people = len({examples[row].person or f"row {row}" for row in asked})
    found = Comparison(learnt, begun, len(asked), people, left_out, _chance(gained, lost))
    tell(found.advice())
    return found


def by_errors(
    figure: str,
    asked: str,
    learnt: tuple[float, Sequence[float]],
    begun: tuple[float, Sequence[float]],
    people: int,
) -> Comparison:
    """Compare what was learnt with what it began from by the errors in every valid example.

    Args:
        figure: what is compared.
        asked: who or what the examples are of.
        learnt, begun: the figure, and the errors in every example.
        people: how many they are of.
    """
    pairs = list(zip(learnt[1], begun[1], strict=True))
    chance = _chance(sum(a < b for a, b in pairs), sum(a > b for a, b in pairs))
    return Comparison(
        learnt[0], begun[0], len(pairs), people, False, chance, figure=figure, asked=asked
    )


def _chance(gained: int, lost: int) -> float:
    """Return the chance of ``lost`` or more of ``gained + lost`` by tossing a coin."""
    tossed = gained + lost
    return float(sum(comb(tossed, k) for k in range(lost, tossed + 1)) / 2**tossed)


def _without(examples: Sequence[Example]) -> list[list[Example]]:
    """Leave every training person out once; the others still learn, the valid ones still choose."""
    parts, rest = [], list(examples)
    for left in range(PARTS, 1, -1):
        divided = hold_out(rest, FOLDER, 1 / left)
        parts.append({i for i, e in enumerate(divided) if e.split == FOLDER})
        # Out of the way of the next part.
        rest = [replace(e, split="taken") if e.split == FOLDER else e for e in divided]
    parts.append({i for i, e in enumerate(rest) if e.split == "train"})
    return [
        [replace(e, split=FOLDER) if i in part else e for i, e in enumerate(examples)]
        for part in parts
    ]
