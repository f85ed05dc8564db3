"""Several processes that train one model, as ``torchrun`` starts them; through Accelerate."""

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
    """A module whose buffers depend on what every process saw."""

    def synchronise(self) -> None:
        """Take over what the other processes saw since the last step."""


@cache
def state() -> PartialState:
    """Who we are: ``num_processes``, ``process_index``, ``is_main_process``, ``device``."""
    found = PartialState(cpu=not torch.cuda.is_available())
    # Threads of a group that is left open end some runs in std::terminate() at exit.
    atexit.register(found.destroy_process_group)
    return found


def first() -> AbstractContextManager[None]:
    """The main process goes first: what it writes, the others find."""
    found: AbstractContextManager[None] = state().main_process_first()
    return found


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the sum of all gradients; one that had no batch has zeros."""
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
    """Return the lists of all processes as one, in their order."""
    found: list[Any] = gather_object(items)
    return found
