"""The gate's verdicts and the search for what must stay in full precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_calibration.quality_gate import (
    AcceptanceLimits,
    Comparison,
    Measurement,
    Score,
    as_facts,
    benefit_failures,
    evaluator,
    quality_failures,
)
from mera_calibration.sensitivity import (
    Cost,
    blocks,
    divergence,
    find_float_layers,
    prune_float_layers,
)
from mera_calibration.timing import interleaved
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS

RECALL = {"happy": 0.9, "sad": 0.7}


def comparison(metric: float = 0.8, ece: float = 0.05, streaming: float = 0.0) -> Comparison:
    return Comparison(
        full=Measurement(1000, Score(0.8, 0.05, RECALL, {"happy": 10, "sad": 10}), 2.0),
        small=Measurement(300, Score(metric, ece, {"happy": 0.9, "sad": 0.6}), 1.0),
        n=100,
        agreement=0.99,
        streaming=streaming,
    )


@pytest.mark.parametrize(
    ("measured", "reasons"),
    [
        (comparison(), []),
        (comparison(metric=0.796), []),
        (comparison(metric=0.79), ["drops by 1.00 points"]),
        (comparison(metric=float("nan")), ["drops by nan"]),
        (comparison(ece=0.08), ["rises by 0.030"]),
        (comparison(streaming=0.1), ["streaming and offline differ"]),
        (comparison(metric=0.5, ece=0.3), ["drops", "rises"]),
    ],
)
def test_quality(measured: Comparison, reasons: list[str]) -> None:
    found = quality_failures(measured, AcceptanceLimits())
    assert len(found) == len(reasons)
    assert all(part in reason for part, reason in zip(reasons, found, strict=True))


@pytest.mark.parametrize(
    ("limit", "support", "refused"),
    [(5.0, 100, True), (10.1, 100, False), (5.0, 10, False), (5.0, 11, True)],
)
def test_class_recall_may_drop_by_the_limit_or_one_example(
    limit: float, support: int, refused: bool
) -> None:
    # The recall of sad drops by ten points.
    full = replace(
        comparison().full, score=replace(comparison().full.score, support={"sad": support})
    )
    found = quality_failures(
        replace(comparison(), full=full), AcceptanceLimits(max_class_drop=limit)
    )
    assert [("recall of sad" in reason) for reason in found] == [True] * refused


def test_benefit_is_judged_by_speed_or_size() -> None:
    slow = replace(comparison(), small=replace(comparison().small, median_ms=2.5))
    assert benefit_failures(comparison(), AcceptanceLimits()) == []
    assert "not faster (time ratio 1.25)" in benefit_failures(slow, AcceptanceLimits())[0]
    assert benefit_failures(slow, AcceptanceLimits(prefer="size")) == []
    large = replace(slow, small=replace(slow.small, bytes=1200))
    assert "not smaller" in benefit_failures(large, AcceptanceLimits(prefer="size"))[0]


def test_the_manifest_gets_no_times_and_the_drop_of_every_class() -> None:
    facts = as_facts(comparison(), "int8")
    assert facts["class_drops"] == {"happy": 0.0, "sad": 10.0}
    assert "ms" not in str(facts)


def test_the_fusion_stays_in_full_precision() -> None:
    assert set(ROLE_EVALUATORS) == {"asr", "voice", "face", "text"}
    with pytest.raises(InputError, match="fusion is not quantized"):
        evaluator("fusion")


@given(st.integers(1, 200), st.integers(1, 30))
def test_blocks_hold_every_node_once_and_in_order(count: int, most: int) -> None:
    nodes = [f"n{i}" for i in range(count)]
    cut = blocks(nodes, most)
    assert [name for block in cut for name in block] == nodes
    assert len(cut) == min(most, count)


@given(st.integers(2, 40), st.data())
def test_the_fewest_blocks_are_left_out(count: int, data: st.DataObject) -> None:
    needed = data.draw(st.integers(1, count))
    costs = [Cost((f"n{i}",), float(count - i)) for i in range(count)]
    left = find_float_layers(costs, lambda names: len(names) >= needed)
    if needed == count:
        assert left is None, "a model without any eight bits is no INT8 model"
    else:
        assert left == {f"n{i}" for i in range(needed)}


@given(st.sets(st.integers(0, 9), min_size=1), st.sets(st.integers(0, 9)))
def test_of_a_bad_block_only_the_bad_nodes_stay_in_float(block: set[int], bad: set[int]) -> None:
    left = frozenset(f"n{i}" for i in block | bad)
    needed = frozenset(f"n{i}" for i in bad)
    sizes = {f"n{i}": 100 - i for i in range(10)}
    assert prune_float_layers(left, sizes, lambda leave: needed <= leave) == needed


def test_divergence_is_zero_for_equal_answers_and_grows() -> None:
    wanted = {"probabilities": np.array([[0.7, 0.3]], np.float32)}
    near = {"probabilities": np.array([[0.65, 0.35]], np.float32)}
    far = {"probabilities": np.array([[0.1, 0.9]], np.float32)}
    assert divergence(wanted, wanted) == pytest.approx(0)
    assert 0 < divergence(wanted, near) < divergence(wanted, far)
    logs = {"log_probs": np.log(wanted["probabilities"])}
    assert divergence(logs, {"log_probs": np.log(far["probabilities"])}) == pytest.approx(
        divergence(wanted, far), rel=1e-4
    )


def test_nothing_to_time_is_an_error() -> None:
    with pytest.raises(InputError, match="no feeds to time"):
        interleaved([], [])
