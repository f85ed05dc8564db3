"""Quantization-aware training, the last resort for a role that degrades under INT8.

The network in full precision is the teacher: its outputs on training examples, chunk by chunk with
real caches, are the targets. No labels are needed.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mera_edge.bundle import Bundle, RoleName
from mera_edge.engine.protocol import Array
from mera_export.bundle import export_bundle
from mera_export.onnx import Prepared
from mera_train import checkpoint

_ACCUMULATE = 8
"""Runs of the model per optimizer step."""
_OBSERVED = 128
"""Runs of the model that activation ranges are measured on."""
_LEARNING_RATE = 1e-3
"""Initial learning rate, relative to the weights."""
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_DISTRIBUTIONS = ("probabilities", "log_probs")


class _Weights(nn.Module):
    """Fake quantization of weights to INT8 with a scale per output channel.

    The change relative to each weight is learnt: channels with very small weights and very large
    inputs, which are the sensitive ones, need smaller steps.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros_like(weights))

    def changed(self, weights: Tensor) -> Tensor:
        return weights * (1 + self.change)

    def forward(self, weights: Tensor) -> Tensor:
        weights = self.changed(weights)
        others = tuple(range(1, weights.dim()))
        scale = weights.detach().abs().amax(others, keepdim=True).clamp(min=1e-12) / 127
        rounded = (weights / scale).round().clamp(-127, 127) * scale
        return weights + (rounded - weights).detach()


class _Activations:
    """Fake quantization of a layer's inputs to INT8, over the range observed at first."""

    def __init__(self) -> None:
        self.low, self.high, self.rounds = 0.0, 0.0, False

    def __call__(self, layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, *rest = given
        seen = x.detach()
        if not self.rounds:
            self.low = min(self.low, float(seen.min()))
            self.high = max(self.high, float(seen.max()))
            return given
        scale = max(self.high - self.low, 1e-12) / 255
        rounded = ((seen - self.low) / scale).round().clamp(0, 255) * scale + self.low
        return (x + (rounded - seen), *rest)


@dataclass(frozen=True)
class QuantizationAwareTraining:
    """Fine-tunes checkpoints for INT8.

    Attributes:
        checkpoints: directory with one checkpoint per role.
        steps: optimizer steps.
        progress: receives progress messages.
        seed: random seed of the order of examples.
    """

    checkpoints: Path
    steps: int
    progress: Callable[[str], None] = lambda message: None
    seed: int = 0

    def __call__(
        self, role: RoleName, bundle: Bundle, feeds: Sequence[Mapping[str, Array]], scratch: Path
    ) -> Bundle:
        """Return a bundle with the fine-tuned model: see `mera_calibration.request.FineTune`.

        Raises:
            InputError, ConfigError: the checkpoint cannot be read.
        """
        directory, out = self.checkpoints / role, scratch / "tuned" / role
        loaded = checkpoint.load(directory)
        exporter: Any = importlib.import_module(f"mera_export.{role}")
        prepared: Prepared = exporter.prepare(loaded)
        teacher = bundle.role(role).engine().run
        _learn(prepared, teacher, feeds, self.steps, self.seed, self.progress)
        shutil.copytree(directory, out, dirs_exist_ok=True)
        card = f"{loaded.card.rstrip()}\n\nFine-tuned for INT8 in {self.steps} steps.\n"
        config = loaded.settings(exporter.Config)
        checkpoint.save(out, prepared.network, config, loaded.metrics, card)
        return export_bundle(out.parent, scratch / "exported", [role])


def _learn(
    prepared: Prepared,
    teacher: Callable[[Mapping[str, Array]], dict[str, Array]],
    feeds: Sequence[Mapping[str, Array]],
    steps: int,
    seed: int,
    progress: Callable[[str], None],
) -> None:
    layers = [layer for layer in prepared.network.modules() if isinstance(layer, _LAYERS)]
    activations = [_Activations() for _ in layers]
    hooks = [
        layer.register_forward_pre_hook(of) for layer, of in zip(layers, activations, strict=True)
    ]
    with torch.no_grad():
        for index in next(_batches(len(feeds), 1, seed, _OBSERVED)):
            _answer(prepared, feeds[index])
    for of in activations:
        of.rounds = True
    rounding = {layer: _Weights(layer.weight) for layer in layers}
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", rounding[layer])
    # Norms and running statistics are frozen: with few samples they would drift.
    optimizer = torch.optim.Adam([of.change for of in rounding.values()], _LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for step, chosen in enumerate(_batches(len(feeds), steps, seed)):
        optimizer.zero_grad()
        for index in chosen:
            fed = feeds[index]
            answers = _answer(prepared, fed)
            wanted = teacher(fed)
            pairs = zip(prepared.outputs, answers, strict=True)
            loss = sum(_apart(name, torch.from_numpy(wanted[name]), given) for name, given in pairs)
            (loss / len(chosen)).backward()  # type: ignore[union-attr]
        optimizer.step()
        schedule.step()
        progress(f"quantization-aware training: step {step + 1} of {steps}")
    for layer, hook in zip(layers, hooks, strict=True):
        hook.remove()
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        # Unrounded: the quantizer rounds them the same way.
        layer.weight.data.copy_(rounding[layer].changed(layer.weight))


def _answer(prepared: Prepared, fed: Mapping[str, Array]) -> tuple[Tensor, ...]:
    answers: tuple[Tensor, ...] = prepared.module(
        *(torch.from_numpy(fed[name]) for name in prepared.inputs)
    )
    return answers


def _batches(count: int, steps: int, seed: int, size: int = _ACCUMULATE) -> Iterator[list[int]]:
    random = np.random.default_rng(seed)
    for _ in range(steps):
        yield random.integers(count, size=min(size, count)).tolist()


def _apart(name: str, wanted: Tensor, given: Tensor) -> Tensor:
    """Kullback-Leibler divergence of distributions, relative squared error otherwise."""
    if name in _DISTRIBUTIONS:
        logs = name == "log_probs"
        truth = wanted if logs else wanted.clamp(min=1e-9).log()
        found = given if logs else given.clamp(min=1e-9).log()
        return (truth.exp() * (truth - found)).sum(-1).mean()
    return ((given - wanted) ** 2).sum() / ((wanted**2).sum() + 1e-6)
