"""A temperature makes confidence fit how often the answers are right."""

import pytest
import torch

from mera_train.temperature import fit_temperature


@pytest.mark.parametrize("boast", [0.5, 1.0, 3.0])
def test_temperature_scaling_reduces_overconfidence_of_any_logits(boast: float) -> None:
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)
        honest = torch.randn(20_000, 4, generator=generator)
        truth = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]
        logits = honest * boast
    assert fit_temperature(logits, truth) == pytest.approx(boast, rel=0.05)
