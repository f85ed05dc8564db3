"""Loads settings: defaults < configuration file < environment < flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mera_edge.config.settings import OF_ROOMS, TABLES, Settings
from mera_edge.errors import ConfigError
from mera_edge.redaction import redacted
from mera_edge.sources.address import kind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SYSTEM_FILE = Path("/etc/mera-edge/config.toml")
PREFIX = "MERA_EDGE_"
_NOT_SETTINGS = frozenset({"MERA_EDGE_MODELS", "MERA_EDGE_ENGINES"})
"""Variables with our prefix that name directories and are not settings."""


def load(
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
    assigned: Iterable[str] = (),
) -> Settings:
    """Load the settings from all sources.

    Args:
        file: a TOML file; if ``None``, `SYSTEM_FILE` if it exists.
        flags: command-line options; ``None`` values are ignored, and a table is merged with that of
            the file.
        environment: contains variables such as ``MERA_EDGE_BUDGET_MS``.
        assigned: ``KEY=VALUE`` of ``--set``, which override all others.

    Raises:
        ConfigError: an unreadable file, an unknown key (the message suggests the nearest) or an
            invalid value.
    """
    given = _GivenSettings()
    if file is not None or SYSTEM_FILE.is_file():
        path = SYSTEM_FILE if file is None else file
        for key, value in _read(path).items():
            given.take(key, value, str(path))
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS:
            key = name.removeprefix(PREFIX).lower()
            given.take(key, _split(value) if key in _LISTS else value, name)
    for key, flag in (flags or {}).items():
        if isinstance(flag, Mapping):
            flag = {name: each for name, each in flag.items() if each is not None} or None
        if flag is not None:
            given.take(key, flag, _FLAGS.get(key, f"--{key.replace('_', '-')}"))
    for text in assigned:
        given.take(*_assignment(text))
    try:
        return Settings.model_validate(given.values)
    except ValidationError as error:
        raise given.blame(error) from error


_LISTS = frozenset({*OF_ROOMS, "sink"})
_RENAMED = {"face_detector": 'published, for example published = { face_detector = "yunet" }'}
"""Former keys, and their replacements."""
_FLAGS = {"providers": "--provider", "recognition": "--asr"}
"""Flags whose name differs from the setting's."""


class _GivenSettings:
    """Values with their origin, for error messages.

    Attributes:
        values: by key.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._where: dict[tuple[str, ...], str] = {}

    def take(self, key: str, value: Any, where: str) -> None:
        """Set a value, which overrides an earlier one; tables are merged."""
        if key in _RENAMED:
            raise ConfigError(f"{where}: {key} is now {_RENAMED[key]}", "rename it")
        if key not in Settings.model_fields:
            raise ConfigError(f"{where}: unknown key {redacted(key)!r}", _known(key, Settings))
        before = self.values.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            self._where |= {(key, name): where for name in value}
            value = {**before, **value}
        else:
            self._where[(key,)] = where
        if key in OF_ROOMS and self._where.get(("room",), where) != where:
            del self.values["room"], self._where["room",]  # later sources override the file
        self.values[key] = value

    def blame(self, error: ValidationError) -> ConfigError:
        """Return the first error with its origin; only scalar values are shown, redacted."""
        first = error.errors(include_url=False)[0]
        steps = [step for step in first["loc"] if step != "[key]"]
        why = first["msg"].removeprefix("Value error, ")
        if not steps:
            keys = [key for key in ("room", *OF_ROOMS) if key in self.values]
            places = dict.fromkeys(self._where[(key,)] for key in keys)
            return ConfigError(f"{' and '.join(places)}: {why}", "")
        key, last = str(steps[0]), str(steps[-1])
        where = self._where.get((key, str(steps[1 % len(steps)])), self._where[(key,)])
        path = key + "".join(
            f"[{step}]" if isinstance(step, int) else f".{redacted(step)}" for step in steps[1:]
        )
        model = TABLES.get(key, Settings) if len(steps) > 1 else Settings
        if first["type"] == "extra_forbidden":
            return ConfigError(f"{where}: unknown key {path}", _known(last, model))
        value = first["input"]
        shown = f" = {value!r}" if isinstance(value, int | float) else ""
        if isinstance(value, str):
            shown = f" = {redacted(value)!r}"
        field = model.model_fields.get(last, Settings.model_fields[key])
        return ConfigError(f"{where}: {path}{shown}: {why}", field.description or "")


def _known(key: str, model: type[BaseModel]) -> str:
    near = get_close_matches(key, model.model_fields, n=1)
    known = ", ".join(model.model_fields)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {known}"


def _split(value: str) -> list[str]:
    """Split a comma-separated list; a GStreamer pipeline, which may contain commas, is one item."""
    return [value] if kind(value) == "pipeline" else [part.strip() for part in value.split(",")]


def _assignment(text: str) -> tuple[str, Any, str]:
    """Parse ``KEY=VALUE`` into key, value and origin; a value that is not TOML is a string."""
    path, equals, written = text.partition("=")
    key, _, inner = path.strip().partition(".")
    if not equals:
        raise ConfigError(f"--set {redacted(text)} has no value", "write --set KEY=VALUE")
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except (ValueError, RecursionError):
        value = _split(written) if key in _LISTS else written
    return key, {inner: value} if inner else value, f"--set {redacted(path)}"


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} does not exist", "write it: docs/config.toml is an example"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "give a TOML file") from error
    return values
