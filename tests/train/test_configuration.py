"""Configurations are read strictly; every one that ships can be read."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from mera_edge.errors import ConfigError
from mera_train.cli import ROLES
from mera_train.configuration import CONFIGS, load, read
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


def test_a_file_that_is_not_there_is_told_with_the_names_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file face/compactt.*face/compact\.yaml"):
        load(Path("face/compactt"))
    with pytest.raises(ConfigError, match="there is no file"):
        load(tmp_path / "face" / "compact.yaml")


def test_what_is_not_said_is_the_default(tmp_path: Path) -> None:
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
        ("loop: {clip: 0}", r"loop\.clip: .*greater than 0"),
        ("width: [", "cannot be read"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read(path, Toy)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        read(tmp_path / "absent.yaml", Toy)
