"""Calibration sets: drawn from training material, spread over classes, people and loudness."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mera_edge.bundle import RoleName
from mera_edge.errors import InputError

FEWEST = 16
"""Samples below which ranges are a matter of luck."""

_MORE = "give more training material with --data"


@dataclass(frozen=True)
class Example:
    """A labelled example that is read when it is needed."""

    name: str
    label: str
    """The class; for speech recognition, the words."""
    group: str
    """Who speaks, or which corpus it is from."""
    load: Callable[[], Any]
    """Log-mel frames ``[n, 80]``, a face crop ``[S, S]`` or a sentence."""


@dataclass(frozen=True)
class Sample:
    """A drawn example."""

    example: Example
    level: float
    """Mean of its input: how loud, how bright; of a sentence, its length."""
    given: Any


@dataclass(frozen=True)
class CalibrationSet:
    """What ranges are found on."""

    role: RoleName
    seed: int
    samples: tuple[Sample, ...]

    def manifest(self) -> dict[str, Any]:
        """Return what was drawn, for the record: the same seed gives the same set."""
        rows = [
            {
                "name": sample.example.name,
                "label": sample.example.label,
                "group": sample.example.group,
                "level": round(sample.level, 4),
            }
            for sample in self.samples
        ]
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        return {
            "schema": "mera-edge/calibration-set/1",
            "role": self.role,
            "split": "train",
            "seed": self.seed,
            "samples": len(rows),
            "sha256": digest,
            "rows": rows,
        }


def draw(
    role: RoleName, examples: Sequence[Example], count: int, seed: int, classes: bool = True
) -> CalibrationSet:
    """Draw a calibration set.

    Twice as many as are wanted are drawn evenly over classes and groups and read; of those the
    quiet, the middling and the loud (dark and bright, short and long) get equal shares.

    Args:
        role: what it is for, in messages and in the manifest.
        examples: training material.
        count: how many samples are wanted; there may be fewer.
        seed: of the drawing.
        classes: whether labels are classes (not words).

    Raises:
        InputError: no material, too little of it, one class only, nothing but repetition, or
            values that are no numbers.
    """
    if not examples:
        raise InputError(f"there is no calibration material for {role}", _MORE)
    if classes and len({example.label for example in examples}) < 2:
        raise InputError(
            f"the calibration material for {role} has the class {examples[0].label!r} only",
            "ranges found on one class do not fit the others: give material of all classes",
        )
    random = np.random.default_rng(seed)
    candidates = spread(
        examples, 2 * count, random, lambda e: (e.label if classes else "", e.group)
    )
    read = [_sample(role, example) for example in candidates]
    if len(read) < FEWEST:
        raise InputError(
            f"the calibration material for {role} has {len(read)} samples, {FEWEST} are needed",
            _MORE,
        )
    if len({_bytes(sample.given) for sample in read}) < len(read) / 2:
        raise InputError(f"the calibration material for {role} is mostly one sample", _MORE)
    thirds = np.quantile([sample.level for sample in read], [1 / 3, 2 / 3])
    chosen = spread(
        read,
        count,
        random,
        lambda s: (s.example.label if classes else "", str(np.searchsorted(thirds, s.level))),
    )
    return CalibrationSet(role, seed, tuple(chosen))


def spread(
    items: Sequence[Any],
    count: int,
    random: np.random.Generator,
    stratum: Callable[[Any], tuple[str, str]],
) -> list[Any]:
    """Draw ``count`` items, equally many of every class and, within it, of every part."""
    strata: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for index in random.permutation(len(items)):
        label, part = stratum(items[index])
        strata[label][part].append(items[index])
    # Within a class its parts take turns, and so do the classes.
    queues = [_in_turn([parts[p] for p in sorted(parts)]) for _, parts in sorted(strata.items())]
    return _in_turn(queues)[:count]


def _in_turn(queues: Sequence[Sequence[Any]]) -> list[Any]:
    longest = max(len(queue) for queue in queues)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _sample(role: str, example: Example) -> Sample:
    given = example.load()
    level = float(len(given)) if isinstance(given, str) else float(np.mean(given))
    if not np.isfinite(level):
        raise InputError(
            f"{example.name} ({role}) has values that are no numbers", "leave it out or repair it"
        )
    return Sample(example, level, given)


def _bytes(given: Any) -> bytes:
    return given.encode() if isinstance(given, str) else given.tobytes()
