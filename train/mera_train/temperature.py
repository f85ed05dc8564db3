"""Temperature scaling (Guo et al., ICML 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Calibrated(nn.Module):
    """A network whose logits are divided by ``temperature``, which is 1 during training."""

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """Return the temperature that minimizes the cross-entropy of ``logits``.

    Args:
        logits: ``[n, C]`` on data that the weights were not fitted to.
        truth: ``[n]``, the true classes.

    Returns:
        The temperature, between 0.2 and 5.
    """
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")
    # Copied, because autograd refuses tensors from inference mode.
    logits, truth = logits.detach().clone().double(), truth.clone()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_temperature.exp(), truth)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return float(log_temperature.detach().exp().clamp(0.2, 5))
