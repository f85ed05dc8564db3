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
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mera_edge.errors import InputError, MeraError
from mera_train import parallel
from mera_train.run import Run, write
from mera_train.task import LoopConfig, Task


class Diverged(MeraError):
    """The loss is no longer a number."""


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
    run = Run(task, config)
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
                    write(out / "best.safetensors", run.evaluated.state_dict(), {})
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


def _train_epoch(run: Run, out: Path) -> None:
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


def _loss(run: Run, plan: Any) -> Tensor:
    batch = run.task.load(plan, run.epoch)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.bf16):
        loss = run.task.loss(batch, run.device)
    value = loss.item()
    if not math.isfinite(value):
        raise Diverged(
            f"the loss is {value} at epoch {run.epoch + 1}, batch {plan!r}",
            "look at this batch, lower the learning rate; the last good state is kept",
        )
    return loss
