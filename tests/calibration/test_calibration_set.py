"""What models are calibrated on: spread evenly, the same every time, and refused when poor."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mera_calibration.calibration_set import Example, draw
from mera_edge.errors import InputError


def example(number: int, label: str, group: str, level: float = 1.0) -> Example:
    values = np.random.default_rng(number).normal(level, 0.01, 8)
    return Example(f"{label}{number}", label, group, lambda: values)


def some(count: int, labels: str = "ab", groups: str = "xyz") -> list[Example]:
    """Unbalanced examples: nine of ten have the first label; a third is loud."""
    return [
        example(i, labels[0] if i % 10 else labels[-1], groups[i % len(groups)], 1.0 + 9 * (i % 3))
        for i in range(count)
    ]


def test_classes_groups_and_levels_are_spread() -> None:
    chosen = draw("voice", some(600), 60, seed=0)
    labels = Counter(sample.example.label for sample in chosen.samples)
    assert labels == {"a": 30, "b": 30}
    groups = Counter(sample.example.group for sample in chosen.samples)
    assert min(groups.values()) >= 10
    assert 10 < sum(sample.level > 15 for sample in chosen.samples) < 30


def test_the_seed_decides() -> None:
    one, same, other = (draw("voice", some(600), 40, seed=s).manifest() for s in (1, 1, 2))
    assert one == same
    assert one["sha256"] != other["sha256"]
    assert one["samples"] == len(one["rows"]) == 40
    assert one["split"] == "train"


def test_drawing_more_samples_than_exist_returns_all() -> None:
    assert len(draw("voice", some(30), 500, seed=0).samples) == 30


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no calibration data"),
        (some(1), "only the class 'b'"),
        (some(5), "has 5 samples; 16 are needed"),
        (some(50, labels="a"), "only the class 'a'"),
        ([example(0, "ab"[i % 2], "x") for i in range(50)], "mostly repeats one sample"),
        ([example(i, "ab"[i % 2], "x", float("nan")) for i in range(50)], "not finite"),
    ],
)
def test_poor_material_is_refused(examples: list[Example], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        draw("voice", examples, 32, seed=0)
    assert refused.value.remedy


def test_transcripts_are_not_treated_as_classes() -> None:
    spoken = [example(i, f"sentence {i}", "x") for i in range(40)]
    assert len(draw("asr", spoken, 20, seed=0, classes=False).samples) == 20
