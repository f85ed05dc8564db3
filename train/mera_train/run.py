"""The state of a training run, its steps, and its state file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Generic, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mera_edge.errors import ConfigError, InputError
from mera_train import parallel, state
from mera_train.fingerprint import Made
from mera_train.state import State
from mera_train.task import LoopConfig, Network, Task


def device() -> torch.device:
    """The device to train on: a GPU where there is one."""
    found: torch.device = parallel.state().device
    return found


def _bf16(config: LoopConfig, device: torch.device) -> bool:
    """Whether to compute in bf16."""
    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Without these instructions bf16 is emulated, six times as slow as fp32.
    return torch.backends.cpu.get_cpu_capability() in ("AVX512", "SVE256")


class Run(Generic[Network]):
    """The state of a run, as saved in ``last.safetensors``."""

    def __init__(self, task: Task[Network], config: LoopConfig, made: Made) -> None:
        self.task, self.config, self.made, self.device = task, config, made, device()
        self.writes: bool = parallel.state().is_main_process
        self.bf16 = _bf16(config, self.device)
        self.gathered: int = config.gradient_accumulation_steps * parallel.state().num_processes
        self.model = task.model.to(self.device)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
            if config.ema_decay
            else None
        )
        self.optimizer = torch.optim.AdamW(self._groups(), lr=config.learning_rate, fused=True)
        self.steps: int = config.epochs * math.ceil(len(task.plan(0)) / self.gathered)
        self.epoch = self.batch = self.step = self.waited = 0
        self.mean_loss = 0.0
        self.best: dict[str, float] = {}

    def _groups(self) -> list[dict[str, Any]]:
        """Return parameters by peak learning rate; matrices decay, vectors do not.

        Raises:
            ConfigError: a learning rate is of no module.
        """
        usual, other = self.config.learning_rate, self.config.learning_rates or {}
        found: dict[tuple[float, bool], list[nn.Parameter]] = {
            (usual, True): [],
            (usual, False): [],
        }
        unused = set(other)
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                of = {n for n in other if f"{name}.".startswith(f"{n}.")}
                unused -= of
                peak = other[max(of, key=len)] if of else usual
                found.setdefault((peak, parameter.ndim > 1), []).append(parameter)
        if unused:
            raise ConfigError(
                f"loop.learning_rates: nothing that is trained is called {min(unused)!r}",
                f"modules are {', '.join(dict(self.model.named_modules()))[2:]}",
            )
        return [
            {
                "params": parameters,
                "weight_decay": self.config.weight_decay if decay else 0.0,
                "share": peak / usual,
            }
            for (peak, decay), parameters in found.items()
        ]

    @property
    def evaluated(self) -> Network:
        """The model to evaluate: the weight average if there is one."""
        return self.model if self.average is None else cast(Network, self.average.module)

    def learning_rate(self) -> float:
        """Linear warm-up, then cosine decay to zero; depends on the step only."""
        done: float = self.step / max(1, self.steps)
        warm_up = self.config.warmup_ratio
        if done < warm_up:
            return self.config.learning_rate * (self.step + 1) / (warm_up * self.steps + 1)
        done = min(1.0, (done - warm_up) / (1 - warm_up))
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def update(self) -> None:
        """Step the optimizer with the accumulated gradients."""
        parallel.add_up_gradients(self.model.parameters())
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.learning_rate()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.model)
        for module in self.model.modules():
            if isinstance(module, parallel.Shared):
                module.synchronise()

    @property
    def done(self) -> bool:
        """Whether all epochs are trained or patience is exhausted."""
        patience = self.config.patience
        impatient = patience is not None and self.waited >= patience
        return impatient or self.epoch >= self.config.epochs

    def evaluate(self) -> dict[str, float]:
        """Return the dev metrics of `evaluated`, in eval mode."""
        if self.average is not None:
            # Running statistics are copied from the trained model, not averaged.
            for kept, new in zip(self.evaluated.buffers(), self.model.buffers(), strict=True):
                kept.copy_(new)
        self.evaluated.eval()
        with torch.inference_mode():
            return self.task.evaluate(self.evaluated, self.device)

    def is_best(self, metrics: dict[str, float]) -> bool:
        """Whether the dev metric ``metric_for_best_model`` is the best so far.

        Raises:
            InputError: the task has no such metric.
        """
        metric = self.config.metric_for_best_model
        if metric not in metrics:
            raise InputError(
                f"the dev metrics have no {metric!r}",
                f"metric_for_best_model: one of {', '.join(metrics)}",
            )
        if metric not in self.best:
            return True
        better = metrics[metric] - self.best[metric]
        return better > 0 if self.config.greater_is_better else better < 0

    def save(self, out: Path) -> None:
        """Save the state to the directory of the run."""
        if not self.writes:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            for name, value in self.average.state_dict().items():
                tensors[f"average.{name}"] = value
        for index, slots in self.optimizer.state_dict()["state"].items():
            for name, value in slots.items():
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
            "waited": self.waited,
        }
        facts = {"position": json.dumps(position), "made": json.dumps(self.made)}
        state.keep(out, tensors, facts)

    def restore(self, found: State, resume: bool | Path) -> None:
        """Restore a state.

        Raises:
            InputError: the state has another fingerprint or belongs to another network.
        """
        state.check(found.metadata, self.made, found.path.parent, resume)
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in found.tensors.items():
            group, name = key.split(".", 1)
            groups.setdefault(group, {})[name] = value
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in groups.get("optimizer", {}).items():
            index, name = key.split(".", 1)
            slots.setdefault(int(index), {})[name] = value
        param_groups = self.optimizer.state_dict()["param_groups"]
        try:
            self.model.load_state_dict(groups["model"])
            if self.average is not None:
                self.average.load_state_dict(groups["average"])
            self.optimizer.load_state_dict({"state": slots, "param_groups": param_groups})
        except (KeyError, RuntimeError, ValueError) as error:
            # The first line of the message names the class, the next the tensor.
            which = " ".join(str(error).splitlines()[:2])
            raise InputError(
                f"{found.path} belongs to a different network ({which})", state.ANEW
            ) from error
        torch.set_rng_state(groups["random"]["cpu"].cpu())
        if "cuda" in groups["random"]:
            torch.cuda.set_rng_state(groups["random"]["cuda"].cpu())
        for name, value in json.loads(found.metadata["position"]).items():
            setattr(self, name, value)
