"""Reading a role's YAML configuration."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from mera_edge.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)

RENAMED = {
    "accumulate": "gradient_accumulation_steps",
    "aligned_epochs": "frame_ce_epochs",
    "average": "ema_decay",
    "band_width": "freq_mask_width",
    "bands": "freq_masks",
    "clip": "max_grad_norm",
    "complete": "full_modality_rate",
    "doubt": "feature_swap_rate",
    "initial": "init_checkpoint",
    "moment_length": "time_mask_width",
    "moments": "time_masks_per_s",
    "smoothing": "label_smoothing",
    "sounding_block": "phone_head_block",
    "start": "init_checkpoint",
    "warm_up": "warmup_ratio",
}
"""Keys of earlier versions, and their names now; at every level."""

_HERE = Path(__file__).parent
CONFIGS = next(p for p in (_HERE / "configs", _HERE.parent / "configs") if p.is_dir())
"""The project's own configurations: in the package where it is installed, beside it in a clone."""


def shipped(path: Path) -> Path:
    """Return ``path``, or the project's own configuration of that name where there is no such file.

    Args:
        path: a file; or one of `CONFIGS` as it is there or in a clone: ``face/compact.yaml``,
            ``face/compact``, ``train/configs/face/compact.yaml``.
    """
    if path.exists():
        return path
    inside = path.relative_to("train/configs") if path.is_relative_to("train/configs") else path
    found = CONFIGS / inside.with_suffix(".yaml")
    return found if not inside.is_absolute() and found.is_file() else path


def read(path: Path, model: type[Config]) -> Config:
    """Read a YAML file into a role's configuration.

    Raises:
        ConfigError: no such file, no YAML, an unknown key (names the nearest) or a bad value.
    """
    return _validated(load(path), path, model)


def read_checkpoint(path: Path, model: type[Config]) -> Config:
    """Read the ``config.yaml`` of a checkpoint, which an earlier version may have written.

    Raises:
        ConfigError: as `read`.
    """
    return _validated(renamed(load(path)), path, model)


def renamed(values: Any) -> Any:
    """Return values with `RENAMED` keys under their names now."""
    if not isinstance(values, dict):
        return values
    return {RENAMED.get(key, key): renamed(value) for key, value in values.items()}


def _validated(values: dict[str, Any], path: Path, model: type[Config]) -> Config:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise explain(error, model, str(path)) from error


def load(path: Path) -> dict[str, Any]:
    """Read the keys of a YAML file, or of one of `CONFIGS`; an empty file has none.

    Raises:
        ConfigError: no such file, no YAML, or no keys in it.
    """
    try:
        values = yaml.safe_load(shipped(path).read_text(encoding="utf-8-sig")) or {}
    except FileNotFoundError as error:
        own = sorted(str(file.relative_to(CONFIGS)) for file in CONFIGS.rglob("*.yaml"))
        near = get_close_matches(str(path), own, n=3, cutoff=0.3) or own
        remedy = f"give a YAML file, or one of the project's own: {', '.join(near)}"
        raise ConfigError(f"there is no file {path}", remedy) from error
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
        if (last := str(first["loc"][-1])) in RENAMED:
            return ConfigError(f"{where}: {key} is now {RENAMED[last]}", "rename it")
        near = get_close_matches(last, _keys(model), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"{where}: {key}: {first['msg']}", remedy)


def _keys(model: type[BaseModel]) -> list[str]:
    keys = list(model.model_fields)
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _keys(field.annotation)
    return keys
