"""Reading a role's YAML configuration."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from mera_edge.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)


def read(path: Path, model: type[Config]) -> Config:
    """Read a YAML file into a role's configuration.

    Raises:
        ConfigError: no such file, no YAML, an unknown key (names the nearest) or a bad value.
    """
    try:
        return model.model_validate(load(path))
    except ValidationError as error:
        raise explain(error, model, str(path)) from error


def load(path: Path) -> dict[str, Any]:
    """Read the keys of a YAML file; an empty file has none.

    Raises:
        ConfigError: no such file, no YAML, or no keys in it.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "give a YAML file") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} has no keys, it is a {type(values).__name__}", "give KEY: VALUE")
    return values


def explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Say what is wrong with the first bad value; of an unknown key the nearest known one."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    remedy = ""
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _keys(model), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"{where}: {key}: {first['msg']}", remedy)


def _keys(model: type[BaseModel]) -> list[str]:
    keys = list(model.model_fields)
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _keys(field.annotation)
    return keys
