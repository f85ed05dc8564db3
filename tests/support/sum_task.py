"""A training that takes a moment, and whose every hidden state counts."""

import math

import torch
from torch import Tensor, nn

from mera_train.task import LoopConfig


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


CONFIG = LoopConfig(
    epochs=4, gradient_accumulation_steps=2, ema_decay=0.9, save_every_batches=2, learning_rate=1e-2
)
