"""Distributed training under ``torchrun``, with Accelerate."""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce
from torch import nn


@runtime_checkable
class Shared(Protocol):
    """A module whose buffers depend on the batches of all processes."""

    def synchronise(self) -> None:
        """Update the buffers with the other processes' data since the last step."""


@cache
def state() -> PartialState:
    """Return ``num_processes``, ``process_index``, ``is_main_process`` and ``device``."""
    found = PartialState(cpu=not torch.cuda.is_available())
    # Threads of an open process group end some runs in std::terminate() at exit.
    atexit.register(found.destroy_process_group)
    return found


def first() -> AbstractContextManager[None]:
    """Run in the main process first, so that the others find its files."""
    found: AbstractContextManager[None] = state().main_process_first()
    return found


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients over all processes; a process without a batch adds zeros."""
    if state().num_processes == 1:
        return
    learnt = [p for p in parameters if p.requires_grad]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in learnt]
    total = reduce(torch.cat([part.flatten() for part in parts]), "sum")
    for parameter, part in zip(learnt, total.split([p.numel() for p in learnt]), strict=True):
        parameter.grad = part.view_as(parameter).to(parameter.dtype)


def mean(value: float) -> float:
    """Return the mean over all processes."""
    found: float = reduce(torch.tensor(value, device=state().device), "mean").item()
    return found


def gathered(items: list[Any]) -> list[Any]:
    """Concatenate the lists of all processes, in order of rank."""
    found: list[Any] = gather_object(items)
    return found
