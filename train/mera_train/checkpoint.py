"""Checkpoints: weights, configuration, metrics and a model card. No pickles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from mera_edge.errors import InputError
from mera_train import configuration, disk, parallel

Config = TypeVar("Config", bound=BaseModel)
Network = TypeVar("Network", bound=nn.Module)

UNKNOWN = "unknown"
"""The licence of weights about which nobody has stated any."""

FILES = ("model.safetensors", "config.yaml", "metrics.json", "card.md")


@dataclass(frozen=True)
class Checkpoint:
    """A trained model of one role, read from its directory."""

    directory: Path
    weights: dict[str, Tensor]
    metrics: dict[str, Any]
    card: str

    @property
    def figures(self) -> dict[str, Any]:
        """The metrics without entries that only results pages need."""
        return _without(self.metrics, ("history", "mistakes", "reliability"))

    @property
    def licence(self) -> str:
        """Licence of the weights according to the configuration, else `UNKNOWN`."""
        licence_text = configuration.load(self.directory / "config.yaml")
        return str(licence_text.get("licence", UNKNOWN))

    def settings(self, model: type[Config]) -> Config:
        """Return the training configuration of the model.

        Raises:
            ConfigError: it does not fit this version; the message names the key.
        """
        return configuration.read_checkpoint(self.directory / "config.yaml", model)

    def fill(self, network: Network) -> Network:
        """Load the weights into ``network`` and set it to eval mode.

        Raises:
            InputError: the shapes do not match.
        """
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            # The first line of the message names the class, the others the tensors.
            where = str(error).splitlines()[1].strip()
            raise InputError(
                f"{self.directory}: the weights do not fit config.yaml: {where}",
                "take both from the same training",
            ) from error
        return network.eval()


def _without(metrics: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: _without(value, names) if isinstance(value, dict) else value
        for name, value in metrics.items()
        if name not in names
    }


def save(
    directory: Path, model: nn.Module, config: BaseModel, metrics: dict[str, Any], card: str
) -> None:
    """Write a checkpoint. ``card`` is the model card in Markdown.

    The log of the run in ``directory`` becomes ``history`` in the metrics.
    """
    if not parallel.state().is_main_process:
        return
    directory.mkdir(parents=True, exist_ok=True)
    if (log := directory / "log.jsonl").is_file():
        history = [json.loads(line) for line in log.read_text().splitlines()]
        metrics = {**metrics, "history": history}
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with disk.room_for(directory, "make room and give the same command: all epochs are kept"):
        disk.write(directory / "model.safetensors", serialized(weights))
        disk.write(directory / "config.yaml", settings)
        disk.write(
            directory / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        )
        disk.write(directory / "card.md", card)


def load(directory: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: a file is missing or unreadable; the message names it.
    """
    for name in FILES:
        if not (directory / name).is_file():
            raise InputError(
                f"{directory} is not a checkpoint: {name} is missing",
                "give the directory that `mera-edge train` wrote",
            )
    try:
        weights = load_file(directory / "model.safetensors")
        metrics = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
        card = (directory / "card.md").read_text(encoding="utf-8")
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"{directory} cannot be read: {error}", "train it again") from error
    if not isinstance(metrics, dict):
        raise InputError(f"{directory}: metrics.json is not a JSON object", "train it again")
    return Checkpoint(directory, weights, metrics, card)
