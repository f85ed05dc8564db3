"""The state of a training run, its steps, and the file that keeps all of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mera_edge.errors import InputError
from mera_train import parallel
from mera_train.task import LoopConfig, Task


def device() -> torch.device:
    """The device to train on: a GPU where there is one."""
    return parallel.state().device


def _bf16(config: LoopConfig, device: torch.device) -> bool:
    """Whether to compute in bf16."""
    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Without these instructions a processor only imitates bf16, six times as slow as fp32.
    return torch.backends.cpu.get_cpu_capability() in ("AVX512", "SVE256")


class Run:
    """The state of a run: all of it is in ``last.safetensors``."""

    def __init__(self, task: Task, config: LoopConfig) -> None:
        self.task, self.config, self.device = task, config, device()
        self.writes: bool = parallel.state().is_main_process
        self.bf16 = _bf16(config, self.device)
        self.gathered: int = config.accumulate * parallel.state().num_processes
        self.model = task.model.to(self.device)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))
            if config.average
            else None
        )
        for_matrices = [p for p in self.model.parameters() if p.requires_grad and p.ndim > 1]
        for_vectors = [p for p in self.model.parameters() if p.requires_grad and p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": for_matrices, "weight_decay": config.weight_decay},
                {"params": for_vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            fused=True,
        )
        self.steps = config.epochs * math.ceil(len(task.plan(0)) / self.gathered)
        self.epoch = self.batch = self.step = 0
        self.mean_loss = 0.0
        self.best: dict[str, float] = {}

    @property
    def evaluated(self) -> nn.Module:
        """The weights that count: the average where one is kept."""
        return self.model if self.average is None else self.average.module

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine down to zero: a pure function of the step."""
        done = self.step / max(1, self.steps)
        warm_up = self.config.warm_up
        if done < warm_up:
            return self.config.learning_rate * (self.step + 1) / (warm_up * self.steps + 1)
        done = min(1.0, (done - warm_up) / (1 - warm_up))
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def update(self) -> None:
        """Step the optimizer with the gradients gathered so far."""
        parallel.add_up_gradients(self.model.parameters())
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.model)
        for module in self.model.modules():
            if isinstance(module, parallel.Shared):
                module.synchronise()

    def evaluate(self) -> dict[str, float]:
        if self.average is not None:
            # Running statistics are not averaged: they follow the model that gathered them.
            for kept, new in zip(self.evaluated.buffers(), self.model.buffers(), strict=True):
                kept.copy_(new)
        self.evaluated.eval()
        with torch.inference_mode():
            return self.task.evaluate(self.evaluated, self.device)

    def is_best(self, metrics: dict[str, float]) -> bool:
        select = self.config.select
        if select not in metrics:
            raise InputError(
                f"the dev metrics have no {select!r}", f"select one of {', '.join(metrics)}"
            )
        if select not in self.best:
            return True
        better = metrics[select] - self.best[select]
        return better > 0 if self.config.higher_is_better else better < 0

    def save(self, path: Path) -> None:
        if not self.writes:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            for name, value in self.average.state_dict().items():
                tensors[f"average.{name}"] = value
        for index, state in self.optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{index}.{name}"] = value
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        position = {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "mean_loss": self.mean_loss,
            "best": self.best,
        }
        write(path, tensors, {"position": json.dumps(position)})

    def restore(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            position = json.loads(file.metadata()["position"])
            groups: dict[str, dict[str, Tensor]] = {}
            for key in file.keys():  # noqa: SIM118  (safe_open is no mapping)
                group, name = key.split(".", 1)
                groups.setdefault(group, {})[name] = file.get_tensor(key)
        self.model.load_state_dict(groups["model"])
        if self.average is not None:
            self.average.load_state_dict(groups["average"])
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in groups.get("optimizer", {}).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        param_groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": param_groups})
        torch.set_rng_state(groups["random"]["cpu"].cpu())
        if "cuda" in groups["random"]:
            torch.cuda.set_rng_state(groups["random"]["cuda"].cpu())
        for name, value in position.items():
            setattr(self, name, value)


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write whole or not at all: a killed run leaves the file that was there before."""
    scratch = path.with_suffix(".partial")
    # Cloned because weights may share memory, which the format refuses.
    save_file(
        {name: t.detach().clone().contiguous() for name, t in tensors.items()}, scratch, metadata
    )
    scratch.replace(path)
