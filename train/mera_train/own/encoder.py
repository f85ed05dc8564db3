"""What a role brings to be trained on one's own labelled examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor

from mera_edge.bundle import RoleName
from mera_train import fingerprint
from mera_train.checkpoint import Checkpoint
from mera_train.fingerprint import Digests
from mera_train.own.config import OwnConfig
from mera_train.own.examples import Example, Kind
from mera_train.provenance import Licence
from mera_train.task import LoopConfig
from mera_train.temperature import Calibrated


class Settings(fingerprint.Settings, Protocol):
    """The part of a role's configuration that all roles have."""

    own: OwnConfig | None
    loop: LoopConfig
    licence: Licence
    batch_size: int


Network = TypeVar("Network", bound=Calibrated)


class Encoder(Protocol[Network]):
    """An encoder of one role, and how it learns. Examples are known by their number."""

    role: RoleName
    title: str
    """Of its card."""
    kind: Kind

    @property
    def labels(self) -> tuple[str, ...]:
        """What it tells apart."""

    def read(self, example: Example) -> None:
        """Read the next example and keep what the encoder will see of it.

        Raises:
            InputError: it cannot be used.
        """

    def begin(self, examples: Sequence[Example], out: Path, digests: Digests) -> None:
        """Compute what takes long; ``examples`` are those that could be read, in their order."""

    def network(self, start: Checkpoint | None, learnt: Sequence[int]) -> Network:
        """Return the network of a checkpoint, or a new one for the training examples."""

    def batch(self, rows: Sequence[int], seed: tuple[int, ...]) -> Any:
        """Return a disturbed batch; draws from a generator of its own."""

    def loss(self, model: Network, batch: Any, device: torch.device) -> Tensor:
        """Return the scalar loss of a batch."""

    def scores(self, model: Network, rows: Sequence[int]) -> Tensor:
        """Return ``[n, C]`` before the softmax, divided by the temperature, as a device answers."""

    def configuration(self, model: Network) -> BaseModel:
        """Return the configuration that the checkpoint is read back by."""

    def files(self) -> Mapping[str, str]:
        """Return what else the checkpoint needs: text by file name."""
