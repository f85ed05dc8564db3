"""Calibration sets: training samples, balanced over classes, speakers and loudness."""

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
"""Smallest calibration set. With fewer samples, activation ranges depend on chance."""

_MORE = "add training data to what is given with --data"


@dataclass(frozen=True)
class Example:
    """A labelled example, loaded on demand."""

    name: str
    label: str
    """The class, or the transcript for speech recognition."""
    group: str
    """The speaker or the corpus."""
    load: Callable[[], Any]
    """Log-mel frames ``[n, 80]``, a face crop ``[S, S]`` or a sentence."""


@dataclass(frozen=True)
class Sample:
    """An example that was drawn and loaded."""

    example: Example
    level: float
    """Mean of the inputs (loudness, brightness), or the length of a sentence."""
    inputs: Any


@dataclass(frozen=True)
class CalibrationSet:
    """The samples that activation ranges are measured on."""

    role: RoleName
    seed: int
    samples: tuple[Sample, ...]

    def manifest(self) -> dict[str, Any]:
        """Return the drawn samples as JSON data. The same seed gives the same set."""
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

    First, twice the wanted number is drawn, balanced over classes and groups, and loaded. Of
    these, equal shares of low, medium and high level are kept.

    Args:
        role: named in messages and in the manifest.
        examples: training examples.
        count: number of samples; fewer if there are not enough examples.
        seed: random seed.
        classes: whether labels are classes (not words).

    Raises:
        InputError: no examples, too few, one class only, repeated samples, or values that are
            not finite.
    """
    if not examples:
        raise InputError(f"there is no calibration data for {role}", _MORE)
    if classes and len({example.label for example in examples}) < 2:
        raise InputError(
            f"the calibration data for {role} contains only the class {examples[0].label!r}",
            "activation ranges of one class do not fit the others: add examples of all classes",
        )
    random = np.random.default_rng(seed)
    candidates = spread(
        examples, 2 * count, random, lambda e: (e.label if classes else "", e.group)
    )
    read = [_sample(role, example) for example in candidates]
    if len(read) < FEWEST:
        raise InputError(
            f"the calibration data for {role} has {len(read)} samples; {FEWEST} are needed",
            _MORE,
        )
    if len({_bytes(sample.inputs) for sample in read}) < len(read) / 2:
        raise InputError(f"the calibration data for {role} mostly repeats one sample", _MORE)
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
    """Draw ``count`` items, balanced over classes and, within a class, over parts."""
    strata: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for index in random.permutation(len(items)):
        label, part = stratum(items[index])
        strata[label][part].append(items[index])
    # Round-robin over the parts of a class, then over the classes.
    queues = [
        _round_robin([parts[p] for p in sorted(parts)]) for _, parts in sorted(strata.items())
    ]
    return _round_robin(queues)[:count]


def _round_robin(queues: Sequence[Sequence[Any]]) -> list[Any]:
    longest = max(len(queue) for queue in queues)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _sample(role: str, example: Example) -> Sample:
    inputs = example.load()
    level = float(len(inputs)) if isinstance(inputs, str) else float(np.mean(inputs))
    if not np.isfinite(level):
        raise InputError(
            f"{example.name} ({role}) contains values that are not finite", "remove or repair it"
        )
    return Sample(example, level, inputs)


def _bytes(inputs: Any) -> bytes:
    return inputs.encode() if isinstance(inputs, str) else inputs.tobytes()
