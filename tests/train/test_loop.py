"""The loop keeps its promises: a run that was killed ends like one that was not."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mera_train.loop import Diverged, LoopConfig, fit


class SumTask:
    """Learns to add four numbers; dropout and batch norm make every hidden state count."""

    def __init__(self, dies_at: int | None = None, poison: int | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1)
        )
        self.dies_at, self.poison, self.loaded = dies_at, poison, 0

    def plan(self, epoch: int) -> list[int]:
        return list(range(7))

    def load(self, plan: int, epoch: int) -> tuple[Tensor, Tensor]:
        self.loaded += 1
        if self.loaded == self.dies_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(100 * epoch + plan))
        return (x * math.nan if plan == self.poison else x), x.sum(1, keepdim=True)

    def loss(self, batch: tuple[Tensor, Tensor], device: torch.device) -> Tensor:
        return nn.functional.mse_loss(self.model(batch[0]).float(), batch[1])

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        x, y = self.load(50, 50)
        return {"loss": nn.functional.mse_loss(model(x), y).item()}


CONFIG = LoopConfig(epochs=4, accumulate=2, average=0.9, save_every_batches=2, learning_rate=1e-2)


def weights(task: SumTask) -> list[Tensor]:
    return list(task.model.state_dict().values())


@pytest.mark.parametrize("dies_at", [2, 5, 8, 13, 27])
def test_a_killed_and_resumed_run_ends_with_the_same_weights(tmp_path: Path, dies_at: int) -> None:
    whole = SumTask()
    best = fit(whole, CONFIG, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(SumTask(dies_at), CONFIG, tmp_path / "killed")
    resumed = SumTask()
    assert fit(resumed, CONFIG, tmp_path / "killed") == best
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    fit(SumTask(), CONFIG, tmp_path)
    again = SumTask()
    fit(again, CONFIG, tmp_path)
    assert again.loaded == 0


def test_a_loss_that_is_no_number_stops_and_names_the_batch(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="epoch 1, batch 5"):
        fit(SumTask(poison=5), CONFIG, tmp_path)
    assert (tmp_path / "last.safetensors").exists()
