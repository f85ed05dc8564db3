"""The training loop of all roles: mixed precision, schedule, weight averaging, exact resume.

Under ``torchrun`` the batches are distributed: ``n`` processes are equivalent to one with ``n``
times the gradient accumulation, including the last batch of an epoch. (Resume is exact for one
process only: the random state of the others is not saved.)
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from mera_edge.errors import MeraError
from mera_train import disk, fingerprint, parallel, state
from mera_train.fingerprint import Made
from mera_train.run import Run
from mera_train.task import LoopConfig, Network, Task


class _Settings(BaseModel):
    """The settings that the loop reads, common to all roles."""

    loop: LoopConfig


class Diverged(MeraError):
    """The loss became NaN or infinite."""


def fit(
    task: Task[Network], config: LoopConfig, out: Path, made: Made, resume: bool | Path = True
) -> dict[str, float]:
    """Train ``task.model``; at the end it has the best weights.

    Writes into ``out``: ``last.safetensors`` after every epoch and every ``save_every_batches``
    (weights, average, optimizer, random state, position and fingerprint), the previous state as
    ``before.safetensors``, ``best.safetensors`` (the best weights on dev), ``log.jsonl`` (a line
    per epoch) and ``tensorboard/``. A killed run resumes from the newest readable state and ends
    with the same weights as an uninterrupted one.

    Args:
        task: model, batches, loss and evaluation.
        config: settings.
        out: the directory of the run.
        made: fingerprint of the run (`mera_train.fingerprint.of`). A state with another one is
            refused.
        resume: whether to resume from the state in ``out``; or the directory of another run, which
            takes precedence.

    Returns:
        The dev metrics of the best weights.

    Raises:
        InputError: the other run has no state; the state has other settings or data, or is
            unreadable; the disk is full.
        Diverged: the loss became NaN or infinite; states and ``best`` are kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    with disk.room_for(out, "free some space and run the same command again: it resumes"):
        return _fit(task, config, out, made, resume)


def _fit(
    task: Task[Network], config: LoopConfig, out: Path, made: Made, resume: bool | Path
) -> dict[str, float]:
    torch.manual_seed(config.seed)
    run = Run(task, config, {**made, **fingerprint.of(_Settings(loop=config), {})})
    _restore(run, out, resume)
    if run.done and run.writes:
        print(f"{out}: finished, all {run.epoch} epochs are trained", file=sys.stderr)
    while not run.done:
        started = time.monotonic()
        _train_epoch(run, out)
        run.epoch, run.batch = run.epoch + 1, 0
        metrics: dict[str, float] = {}
        if run.epoch % config.evaluate_every == 0 or run.epoch == config.epochs:
            metrics = run.evaluate()
            run.waited += 1
            if run.is_best(metrics):
                run.best, run.waited = metrics, 0
                if run.writes:
                    state.write(out / state.BEST, run.evaluated.state_dict(), {})
        line = {
            "epoch": run.epoch,
            "train_loss": round(parallel.mean(run.mean_loss), 5),
            **{name: round(value, 5) for name, value in metrics.items()},
            "seconds": round(time.monotonic() - started, 1),
        }
        run.mean_loss = 0.0
        run.save(out)
        if run.writes:
            _log(line, out)
    parallel.state().wait_for_everyone()
    task.model.load_state_dict(state.read(out / state.BEST).tensors)
    task.model.eval()
    return run.best


def _restore(run: Run[Any], out: Path, resume: bool | Path) -> None:
    """Resume from a state, or remove the files of an earlier run."""
    everyone = parallel.state()
    if isinstance(resume, Path) and resume != out:
        state.take_over(resume, out, run.writes)
    everyone.wait_for_everyone()
    found = state.newest(out) if resume else None
    if found is not None:
        run.restore(found, resume)
        if run.best:
            state.read(out / state.BEST)
    # All processes must have read the state before one overwrites it.
    everyone.wait_for_everyone()
    if not run.writes:
        return
    if found is None:
        state.begin(out)
        return
    state.rewind(out, run.epoch)
    if found.path.name != state.LAST:
        # Otherwise the damaged state would replace it at the next save.
        (out / state.LAST).unlink(missing_ok=True)


def _log(line: dict[str, float], out: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with (out / state.LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), file=sys.stderr, flush=True)
    with SummaryWriter(out / state.BOARD) as board:
        for name, value in line.items():
            board.add_scalar(name, value, int(line["epoch"]))


def _train_epoch(run: Run[Any], out: Path) -> None:
    config, processes = run.config, parallel.state().num_processes
    plans = run.task.plan(run.epoch)
    run.model.train()
    for index in range(run.batch, len(plans)):
        if index % processes == parallel.state().process_index:
            loss = _loss(run, plans[index])
            # The remaining batches of an epoch form a smaller optimizer step.
            first = index - index % run.gathered
            (loss / min(run.gathered, len(plans) - first)).backward()
            run.mean_loss += (loss.item() - run.mean_loss) / (index // processes + 1)
        run.batch = index + 1
        if run.batch % run.gathered == 0 or run.batch == len(plans):
            run.update()
            # Saved only after updates, so that no accumulated gradients have to be saved.
            if run.step * run.gathered % config.save_every_batches < run.gathered:
                run.save(out)


def _loss(run: Run[Any], plan: Any) -> Tensor:
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
