"""Configurations are read strictly; every one that ships can be read."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ConfigDict

from mera_edge.errors import ConfigError, InputError
from mera_train import fingerprint
from mera_train.cli import ROLES
from mera_train.configuration import CONFIGS, RENAMED, load, read, read_checkpoint
from mera_train.msa.config import Config as MsaConfig
from mera_train.own.command import CHECKPOINTS
from mera_train.task import LoopConfig


class Toy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 8
    loop: LoopConfig = LoopConfig()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda p: p.parent.name)
def test_a_configuration_that_ships_fits_its_role(path: Path) -> None:
    module = importlib.import_module(f"mera_train.{path.parent.name}.train")
    assert isinstance(read(path, module.Config), module.Config)


def test_every_role_has_a_configuration() -> None:
    assert {path.parent.name for path in CONFIGS.glob("*/*.yaml")} == set(ROLES)


@pytest.mark.parametrize(
    "name", ["face/compact", "face/compact.yaml", "train/configs/face/compact.yaml"]
)
def test_the_own_ones_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(Path(name)) == load(CONFIGS / "face" / "compact.yaml")


def test_missing_file_error_lists_existing_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"face/compactt does not exist.*face/compact\.yaml"):
        load(Path("face/compactt"))
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "face" / "compact.yaml")


def test_missing_settings_have_defaults(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text("loop: {epochs: 3}\n")
    assert read(path, Toy) == Toy(loop=LoopConfig(epochs=3))
    path.write_text("")
    assert read(path, Toy) == Toy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht: 9", r"widht: .*did you mean 'width'"),
        ("loop: {epoch: 3}", r"loop\.epoch: .*did you mean 'epochs'"),
        ("width: wide", "width: .*integer"),
        ("loop: {max_grad_norm: 0}", r"loop\.max_grad_norm: .*greater than 0"),
        ("width: [", "cannot be read"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read(path, Toy)


MODELS = {role: importlib.import_module(f"mera_train.{role}.train").Config for role in ROLES} | {
    "msa": MsaConfig
}


def keys(model: type[BaseModel], *outer: str) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Yield every group of settings: where it is, and its model."""
    yield outer, model
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind, *outer, name)


def test_the_old_name_of_a_key_is_refused_with_the_new_one(tmp_path: Path) -> None:
    path, found = tmp_path / "old.yaml", set()
    for model in MODELS.values():
        for outer, section in keys(model):
            for old, names in RENAMED.items():
                now = [name for name in names if name in section.model_fields]
                if not now or old in section.model_fields:
                    continue
                values: dict[str, Any] = {old: 1}
                for name in reversed(outer):
                    values = {name: values}
                path.write_text(json.dumps(values))
                with pytest.raises(
                    ConfigError, match=rf"\b{'.'.join([*outer, old])} is now {now[0]}"
                ):
                    read(path, model)
                found.add(old)
    assert found == set(RENAMED)


def test_a_checkpoint_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("loop: {clip: 2.0, average: 0.5, warm_up: 0.1, accumulate: 3}\n")
    loop = LoopConfig(
        max_grad_norm=2.0, ema_decay=0.5, warmup_ratio=0.1, gradient_accumulation_steps=3
    )
    assert read_checkpoint(path, Toy) == Toy(loop=loop)


@pytest.mark.parametrize("role", ROLES)
def test_the_shipped_checkpoint_fits_its_role(role: str) -> None:
    module = importlib.import_module(f"mera_train.{role}.train")
    found = read_checkpoint(CHECKPOINTS / role / "config.yaml", module.Config)
    assert isinstance(found, module.Config)


def test_a_run_of_an_earlier_version_is_the_same_run(tmp_path: Path) -> None:
    now = fingerprint.of(Toy(loop=LoopConfig(ema_decay=0.5)), {})
    before = {name.replace("ema_decay", "average"): value for name, value in now.items()}
    fingerprint.check(before, now, tmp_path)
    with pytest.raises(InputError, match=r"loop\.ema_decay is 0\.9 there, 0\.5 now"):
        fingerprint.check(before | {"loop.average": "0.9"}, now, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        read(tmp_path / "absent.yaml", Toy)
