"""The figures of sentiment regression, and the traps in their bins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_train.msa.metrics import Scale, regression

PAIRS = st.lists(st.tuples(st.floats(-3, 3, width=16), st.floats(-3, 3, width=16)), min_size=1)


@given(PAIRS, st.sampled_from(["sims", "mosi"]))
def test_figures_keep_their_ranges(pairs: list[tuple[float, float]], scale: Scale) -> None:
    figures = regression(*zip(*pairs, strict=True), scale)
    assert -1.001 <= figures.pop("correlation") <= 1.001
    assert figures.pop("mae") >= 0
    assert all(0 <= value <= 1.001 for value in figures.values())


@given(PAIRS, st.sampled_from(["sims", "mosi"]))
def test_the_truth_itself_is_perfect(pairs: list[tuple[float, float]], scale: Scale) -> None:
    truth = [true for true, _ in pairs]
    figures = regression(truth, truth, scale)
    assert figures.pop("mae") == 0
    figures.pop("correlation")
    assert all(value == pytest.approx(1) for value in figures.values())


def test_neutral_is_negative_in_sims_and_positive_in_mosi() -> None:
    assert regression([0.0], [-0.5], "sims")["accuracy_2"] == 1
    mosi = regression([0.0], [-0.5], "mosi")
    assert mosi["accuracy_2_has0"] == 0
    assert "accuracy_2_non0" not in mosi


def test_weighted_f1_weighs_by_the_truth() -> None:
    truth, always_positive = [1.0, -1.0, -1.0, -1.0], [1.0] * 4
    assert regression(truth, always_positive, "sims")["weighted_f1"] == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [[], [float("nan")], [0.1, 0.2]])
def test_unusable_values_are_refused(bad: list[float]) -> None:
    with pytest.raises(InputError):
        regression(bad, [0.1], "mosi")
