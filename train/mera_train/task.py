"""Interface of the training loop: its settings, and the task that a role implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class LoopConfig(BaseModel):
    """Settings of the training loop."""

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(30, ge=1, description="passes over the training set")
    learning_rate: float = Field(1e-3, gt=0, description="peak, after the warm-up")
    learning_rates: dict[str, float] | None = Field(
        None, description="other peaks, by a module's name or the beginning of it"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW, on matrices only")
    warmup_ratio: float = Field(
        0.05, ge=0, lt=1, description="share of all steps with a rising rate"
    )
    gradient_accumulation_steps: int = Field(1, ge=1, description="batches to an optimizer step")
    max_grad_norm: float = Field(5.0, gt=0, description="largest gradient norm")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="decay of the weight average; 0: none")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="of the forward pass; auto: bf16 where the processor computes in it"
    )
    save_every_batches: int = Field(10_000, ge=1, description="besides after every epoch")
    evaluate_every: int = Field(1, ge=1, description="epochs between evaluations on dev")
    metric_for_best_model: str = Field(
        "loss", description="dev metric that chooses the best weights"
    )
    greater_is_better: bool = Field(False, description="for the metric in `metric_for_best_model`")
    patience: int | None = Field(
        None, ge=1, description="evaluations without a better figure, after which training ends"
    )
    seed: int = 1


class Task(Protocol[Network]):
    """What a role implements: model, batches, loss, evaluation on the dev set."""

    @property
    def model(self) -> Network:
        """The network to train."""

    def plan(self, epoch: int) -> Sequence[Any]:
        """Return one cheap description per batch, deterministic for each epoch."""

    def load(self, plan: Any, epoch: int) -> Any:
        """Return the batch of a description. Augmentation uses its own generator, seeded by seed,
        epoch and description, so that a resumed run sees the same batches.
        """

    def loss(self, batch: Any, device: torch.device) -> Tensor:
        """Return the scalar loss of a batch (called under autocast)."""

    def evaluate(self, model: Network, device: torch.device) -> dict[str, float]:
        """Return the metrics of ``model`` (in eval mode) on the dev set."""
