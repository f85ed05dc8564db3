"""The identities of Self-MM's label generation, and its guards."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mera_train.fusion.unimodal_labels import (
    SMALL,
    UnimodalLabels,
    generate,
    momentum,
    relative_distance,
)

LABEL = st.floats(-1, 1, width=32)
DISTANCE = st.floats(-50, 50, width=32)
WIDTHS = {"whole": 4, "voice": 2, "face": 3}


def one(value: float) -> torch.Tensor:
    return torch.tensor([value])


@given(LABEL, DISTANCE)
def test_equal_distances_keep_the_multimodal_label(label: float, d: float) -> None:
    assert generate(one(label), one(d), one(d)).item() == pytest.approx(label, abs=1e-4)


@given(LABEL, DISTANCE, DISTANCE)
def test_labels_are_finite_and_clamped(label: float, whole: float, modality: float) -> None:
    assert -1 <= generate(one(label), one(whole), one(modality)).item() <= 1


@given(LABEL, st.floats(-0.9 * SMALL, 0.9 * SMALL), DISTANCE)
def test_near_zero_the_label_moves_by_the_difference(
    label: float, whole: float, modality: float
) -> None:
    expected = min(1.0, max(-1.0, label + modality - whole))
    assert generate(one(label), one(whole), one(modality)).item() == pytest.approx(
        expected, abs=1e-4
    )


def test_nearer_to_the_positive_centre_means_a_more_positive_label() -> None:
    whole = torch.full((5,), 0.5)
    alpha = torch.linspace(-1, 1, 5)
    labels = generate(whole, torch.full((5,), 0.3), alpha)
    assert (labels.diff() >= 0).all()
    assert labels[-1] > labels[0]


@given(LABEL, LABEL, st.integers(1, 1000))
def test_momentum_is_a_weighted_mean_and_keeps_the_label_in_epoch_1(
    old: float, new: float, epoch: int
) -> None:
    assert momentum(one(old), one(old), epoch).item() == pytest.approx(old, abs=1e-5)
    moved = momentum(one(old), one(new), epoch).item()
    assert min(old, new) - 1e-5 <= moved <= max(old, new) + 1e-5
    if epoch == 1:
        assert moved == old


def test_a_feature_between_the_centres_is_equally_far() -> None:
    centres = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    assert relative_distance(torch.zeros(1, 2), *centres).item() == pytest.approx(0)
    assert relative_distance(centres[:1], *centres).item() > 1e6


@pytest.mark.parametrize("whole", [[0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [0.5, -0.5, 0.0]])
def test_empty_class_or_batch_of_one_gives_no_nan(whole: list[float]) -> None:
    labels = UnimodalLabels(torch.tensor(whole), WIDTHS)
    for epoch in (1, 2, 3):
        for row in range(3):
            features = {name: torch.randn(1, width) for name, width in WIDTHS.items()}
            here = {"voice": torch.tensor([row != 1]), "face": torch.tensor([False])}
            labels.update(torch.tensor([row]), features, here, epoch)
    for name in labels.modalities:
        assert torch.isfinite(labels.label(name)).all()
        assert (labels.label(name).abs() <= 1).all()
    # A modality that was never there keeps the label of the whole.
    assert torch.equal(labels.label("face"), torch.tensor(whole))


def test_a_modality_that_contradicts_the_whole_gets_a_label_of_its_own() -> None:
    torch.manual_seed(0)
    sign = torch.tensor([1.0, -1.0]).repeat(100)
    shown = sign.clone()
    shown[:20] *= -1
    labels = UnimodalLabels(0.6 * sign, {"whole": 4, "voice": 4})
    for epoch in range(1, 6):
        features = {
            "whole": sign[:, None] + torch.randn(200, 4),
            "voice": shown[:, None] + torch.randn(200, 4),
        }
        labels.update(torch.arange(200), features, {"voice": torch.ones(200) > 0}, epoch)
    voice, contrary = labels.label("voice"), torch.arange(200) < 20
    for side in (1.0, -1.0):
        own = side * voice[(sign == side) & contrary].mean()
        assert own < side * voice[(sign == side) & ~contrary].mean() - 0.3
    assert torch.equal(labels.label("whole"), 0.6 * sign)
