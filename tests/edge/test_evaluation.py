"""The metrics agree with scikit-learn's definitions on a worked example."""

import numpy as np
import pytest

from mera_edge.errors import InputError
from mera_edge.evaluation import classification

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


def test_nothing_to_evaluate_and_unknown_labels_are_errors() -> None:
    with pytest.raises(InputError, match="nothing to evaluate"):
        classification([], np.zeros((0, 3)), NAMES)
    with pytest.raises(InputError, match="'bored'"):
        classification(["bored"], np.ones((1, 3)), NAMES)
