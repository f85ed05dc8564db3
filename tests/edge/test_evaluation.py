"""The metrics agree with scikit-learn's definitions on a worked example."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_edge.metrics.classification import classification
from mera_edge.metrics.confusion import paired_interval
from mera_edge.metrics.word_error_rate import word_error_rate

NAMES = ["neutral", "happy", "sad"]


def test_a_worked_example() -> None:
    truth = ["neutral", "neutral", "neutral", "happy", "happy", "sad"]
    chosen = [0, 0, 1, 1, 2, 2]
    result = classification(truth, np.eye(3)[chosen], NAMES)
    assert result["n"] == 6
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["uar"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    f1 = [0.8, 0.5, 2 / 3]
    assert [facts["f1"] for facts in result["per_class"].values()] == pytest.approx(f1)
    assert result["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert result["weighted_f1"] == pytest.approx((3 * f1[0] + 2 * f1[1] + f1[2]) / 6)
    assert result["confusion"]["rows_are_truth"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    # Certain every time, right four times out of six.
    assert result["ece"] == pytest.approx(2 / 6)


def test_labels_that_do_not_occur_cannot_be_chosen() -> None:
    shares = np.array([[0.1, 0.2, 0.7], [0.4, 0.1, 0.5]])
    result = classification(["happy", "neutral"], shares, NAMES)
    assert result["accuracy"] == 1
    assert list(result["per_class"]) == ["neutral", "happy"]


def test_no_answer_is_wrong_whatever_the_label() -> None:
    truth = ["neutral", "neutral", "happy", "sad"]
    shares = np.full((4, 3), 1 / 3)
    shares[1] = (1, 0, 0)
    shares[3] = (0, 1, 0)
    answered = np.array([False, True, False, True])
    result = classification(truth, shares, NAMES, answered)
    assert (result["n"], result["unanswered"]) == (4, 2)
    assert result["accuracy"] == 1 / 4
    assert result["uar"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert result["per_class"]["neutral"] == {
        "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2, "unanswered": 1,
    }  # fmt: skip
    only = result["answered"]
    assert (only["n"], only["accuracy"], only["uar"]) == (2, 1 / 2, pytest.approx(1 / 2))
    assert result["ece"] == pytest.approx(1 / 2), "of the answers"
    nothing = classification(truth, shares, NAMES, np.zeros(4, bool))
    assert nothing["accuracy"] == 0 and nothing["answered"] is None and nothing["ece"] is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1))
def test_unanswered_rows_never_improve_the_scores(rows: list[tuple[int, int, bool]]) -> None:
    truth = [NAMES[true] for true, _, _ in rows]
    shares = np.eye(3)[[said for _, said, _ in rows]]
    answered = np.array([there for _, _, there in rows])
    whole, some = (
        classification(truth, shares, NAMES),
        classification(truth, shares, NAMES, answered),
    )
    for name in ("accuracy", "uar"):
        assert some[name] <= whole[name] + 1e-12
        low, high = some["interval_95"][name]
        assert 0 <= low <= high <= 1
    low, high = some["interval_95"]["accuracy"]
    assert low - 1e-12 <= some["accuracy"] <= high + 1e-12
    if answered.any():
        right = [true == said for true, said, there in rows if there]
        # A label that does not occur in truth cannot be said: the next likely one is.
        if {said for _, said, there in rows if there} <= {true for true, _, _ in rows}:
            assert some["answered"]["accuracy"] == pytest.approx(np.mean(right))


def test_intervals_match_the_wilson_formula_and_simulation() -> None:
    truth = ["happy"] * 20 + ["sad"] * 20
    shares = np.eye(3)[[1] * 15 + [2] * 5 + [2] * 20]
    result = classification(truth, shares, NAMES)
    # Wilson's for 35 of 40.
    assert result["interval_95"]["accuracy"] == pytest.approx([0.7389, 0.9454], abs=1e-3)
    rng = np.random.default_rng(1)
    recalls = []
    for _ in range(2000):
        rows = rng.integers(0, 40, 40)
        happy, right = rows < 20, np.array(rows < 15) | np.array(rows >= 20)
        recalls.append((right[happy].mean() + right[~happy].mean()) / 2)
    assert result["interval_95"]["uar"] == pytest.approx(
        np.percentile(recalls, (2.5, 97.5)).tolist(), abs=0.02
    )


def test_people_who_are_right_or_wrong_as_a_whole_count_once() -> None:
    """Twenty people, ten rows each, all right or all wrong: no surer than twenty rows."""
    truth = ["happy", "sad"] * 100
    people = [f"person {row // 10}" for row in range(200)]
    right = np.array([row // 10 % 4 != 0 for row in range(200)])
    chosen = np.where(right, np.tile([1, 2], 100), np.tile([2, 1], 100))
    alone = classification(truth, np.eye(3)[chosen], NAMES)
    found = classification(truth, np.eye(3)[chosen], NAMES, people=people)
    assert (found["people"], found["accuracy"]) == (20, alone["accuracy"])
    assert 15 <= found["effective_n"] <= 25
    low, high = found["interval_95"]["accuracy"]
    single_low, single_high = alone["interval_95"]["accuracy"]
    assert high - low > 2.5 * (single_high - single_low)
    few = classification(truth[:20], np.eye(3)[chosen[:20]], NAMES, people=people[:20])
    assert few["people"] == 2 and "effective_n" not in few


def test_the_interval_of_a_word_error_rate_holds_it() -> None:
    references = ["one two three four"] * 30
    found = word_error_rate(references, ["one two three"] * 15 + references[15:])
    low, high = found["interval_95"]["wer"]
    assert found["wer"] == 1 / 8 and 0.07 < low < 1 / 8 < high < 0.18


def test_speakers_who_are_understood_or_not_as_a_whole_count_once() -> None:
    references = ["one two three four"] * 200
    heard = ["one two" if row // 10 % 2 else "one two three four" for row in range(200)]
    alone = word_error_rate(references, heard)
    found = word_error_rate(references, heard, [f"speaker {row // 10}" for row in range(200)])
    assert (found["wer"], found["people"]) == (alone["wer"], 20)
    assert 15 <= found["effective_n"] <= 25
    (low, high), (single_low, single_high) = (f["interval_95"]["wer"] for f in (found, alone))
    assert high - low > 2.5 * (single_high - single_low)
    few = word_error_rate(
        references[:20], heard[:20], [f"speaker {row // 10}" for row in range(20)]
    )
    assert few["people"] == 2 and "effective_n" not in few


def test_nothing_to_evaluate_and_unknown_labels_are_errors() -> None:
    with pytest.raises(InputError, match="no rows to evaluate"):
        classification([], np.zeros((0, 3)), NAMES)
    with pytest.raises(InputError, match="'bored'"):
        classification(["bored"], np.ones((1, 3)), NAMES)


def test_two_models_are_compared_on_the_same_draws() -> None:
    generator = np.random.default_rng(0)
    cells = np.zeros((2, 60, 2, 3))
    for row, truth in enumerate(generator.integers(0, 2, 60)):
        cells[:, row, truth, truth if generator.random() < 0.7 else 2] = 1
    assert paired_interval(cells, "accuracy") == [0, 0], "equal answers differ by nothing"
    for truth in (0, 1):
        cells[0, :, truth, truth] += cells[0, :, truth, 2]
    cells[0, :, :, 2] = 0
    low, high = paired_interval(cells, "accuracy")
    assert 0.1 < low < 0.3 < high < 0.5
