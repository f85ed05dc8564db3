"""The training loop that every role shares: precision, schedule, averaging, exact resume.

Started by ``torchrun`` it shares the batches out: ``n`` processes do together, to the last batch of
an epoch, what one does that gathers ``n`` times as many gradients for a step. (Exact resume is that
of one process: the others' random state is not kept.)
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mera_edge.errors import InputError, MeraError
from mera_train import parallel


class LoopConfig(BaseModel):
    """How long, how fast and how carefully to train."""

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(30, ge=1, description="passes over the training set")
    learning_rate: float = Field(1e-3, gt=0, description="peak, after the warm-up")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW, on matrices only")
    warm_up: float = Field(0.05, ge=0, lt=1, description="share of all steps with a rising rate")
    accumulate: int = Field(1, ge=1, description="batches to an optimizer step")
    clip: float = Field(5.0, gt=0, description="largest gradient norm")
    average: float = Field(0.0, ge=0, lt=1, description="decay of the weight average; 0: none")
    precision: Literal["bf16", "fp32"] = Field("bf16", description="of the forward pass")
    save_every_batches: int = Field(10_000, ge=1, description="besides after every epoch")
    evaluate_every: int = Field(1, ge=1, description="epochs between evaluations on dev")
    select: str = Field("loss", description="dev metric that chooses the best weights")
    higher_is_better: bool = Field(False, description="for the metric in `select`")
    seed: int = 1


class Task(Protocol):
    """What a role brings: a model, its batches, its loss, its evaluation on the dev set."""

    model: nn.Module

    def plan(self, epoch: int) -> Sequence[Any]:
        """Return one cheap description per batch, the same for the same epoch in every run."""

    def load(self, plan: Any, epoch: int) -> Any:
        """Return the batch of a description; augmentation draws from a generator of its own,
        seeded by seed, epoch and description, so that a resumed run sees the same batches."""

    def loss(self, batch: Any, device: torch.device) -> Tensor:
        """Return the scalar loss of a batch (called under autocast)."""

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the metrics of ``model`` (in eval mode) on the dev set."""


class Diverged(MeraError):
    """The loss is no longer a number."""


def device() -> torch.device:
    """The device to train on: a GPU where there is one."""
    return parallel.state().device


def fit(task: Task, config: LoopConfig, out: Path, resume: bool | Path = True) -> dict[str, float]:
    """Train ``task.model`` and leave the best weights in it.

    Writes into ``out``: ``last.safetensors`` after every epoch and every ``save_every_batches``
    (weights, average, optimizer, random state, position), ``best.safetensors`` (the weights that
    did best on dev), ``log.jsonl`` (a line per epoch) and ``tensorboard/``. A run that was
    killed goes on from ``last`` and ends with the same weights as one that was not.

    Args:
        task: what is trained.
        config: how.
        out: the directory of the run.
        resume: whether to go on from the state in ``out``; or the directory of another run, which
            takes precedence.

    Returns:
        The dev metrics of the best weights.

    Raises:
        InputError: the other run has no state.
        Diverged: the loss became NaN or infinite; ``last`` and ``best`` are kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    run = _Run(task, config)
    if isinstance(resume, Path) and resume != out:
        _take_over(resume, out, run.writes)
    if resume and (out / "last.safetensors").exists():
        run.restore(out / "last.safetensors")
    # A process waits for the slowest before it writes over what that one reads.
    parallel.state().wait_for_everyone()
    while run.epoch < config.epochs:
        started = time.monotonic()
        _train_epoch(run, out)
        run.epoch, run.batch = run.epoch + 1, 0
        metrics: dict[str, float] = {}
        if run.epoch % config.evaluate_every == 0 or run.epoch == config.epochs:
            metrics = run.evaluate()
            if run.is_best(metrics):
                run.best = metrics
                if run.writes:
                    _write(out / "best.safetensors", run.evaluated.state_dict(), {})
        line = {
            "epoch": run.epoch,
            "train_loss": round(parallel.mean(run.mean_loss), 5),
            **{name: round(value, 5) for name, value in metrics.items()},
            "seconds": round(time.monotonic() - started, 1),
        }
        run.mean_loss = 0.0
        run.save(out / "last.safetensors")
        if run.writes:
            _log(line, out)
    parallel.state().wait_for_everyone()
    task.model.load_state_dict(load_file(out / "best.safetensors"))
    task.model.eval()
    return run.best


def _take_over(earlier: Path, out: Path, writes: bool) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        if not (earlier / name).exists():
            remedy = "give the --out of an earlier run to --resume"
            raise InputError(f"{earlier / name} does not exist", remedy)
        if writes:
            shutil.copyfile(earlier / name, out / name)
    parallel.state().wait_for_everyone()


def _log(line: dict[str, float], out: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), file=sys.stderr, flush=True)
    with SummaryWriter(out / "tensorboard") as board:
        for name, value in line.items():
            board.add_scalar(name, value, int(line["epoch"]))


class _Run:
    """The state of a run: all of it is in ``last.safetensors``."""

    def __init__(self, task: Task, config: LoopConfig) -> None:
        self.task, self.config, self.device = task, config, device()
        self.writes: bool = parallel.state().is_main_process
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
        _write(path, tensors, {"position": json.dumps(position)})

    def restore(self, path: Path) -> None:
        with safe_open(path, "pt", device=str(self.device)) as file:
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


def _train_epoch(run: _Run, out: Path) -> None:
    config, processes = run.config, parallel.state().num_processes
    plans = run.task.plan(run.epoch)
    run.model.train()
    for index in range(run.batch, len(plans)):
        if index % processes == parallel.state().process_index:
            loss = _loss(run, plans[index])
            # The batches left over at the end of an epoch make a step of their own size.
            first = index - index % run.gathered
            (loss / min(run.gathered, len(plans) - first)).backward()
            run.mean_loss += (loss.item() - run.mean_loss) / (index // processes + 1)
        run.batch = index + 1
        if run.batch % run.gathered == 0 or run.batch == len(plans):
            run.update()
            # Saved only here: between updates there would be gradients to save as well.
            if run.step * run.gathered % config.save_every_batches < run.gathered:
                run.save(out / "last.safetensors")


def _loss(run: _Run, plan: Any) -> Tensor:
    batch = run.task.load(plan, run.epoch)
    bf16 = run.config.precision == "bf16"
    with torch.autocast(run.device.type, torch.bfloat16, enabled=bf16):
        loss = run.task.loss(batch, run.device)
    value = loss.item()
    if not math.isfinite(value):
        raise Diverged(
            f"the loss is {value} at epoch {run.epoch + 1}, batch {plan!r}",
            "look at this batch, lower the learning rate; the last good state is kept",
        )
    return loss


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write whole or not at all: a killed run leaves the file that was there before."""
    scratch = path.with_suffix(".partial")
    # Cloned because weights may share memory, which the format refuses.
    save_file(
        {name: t.detach().clone().contiguous() for name, t in tensors.items()}, scratch, metadata
    )
    scratch.replace(path)
