"""Settings: defaults < configuration file < environment (``MERA_EDGE_*``) < flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from mera_edge.bundle.manifest import RoleName
from mera_edge.engine.choose import Provider
from mera_edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SYSTEM_FILE = Path("/etc/mera-edge/config.toml")
PREFIX = "MERA_EDGE_"
_NOT_SETTINGS = frozenset({"MERA_EDGE_MODELS", "MERA_EDGE_ENGINES"})
"""Variables with our prefix that say where things lie, not how to run."""


def _pairs(value: Any) -> Any:
    """Read ``face=cuda,voice=cpu``, as the environment has to say it, into a mapping."""
    if not isinstance(value, str):
        return value
    return dict(pair.partition("=")[::2] for pair in value.split(","))


def _several(value: Any) -> Any:
    """Take one for a list of one."""
    return (value,) if isinstance(value, str) else value


Several = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]


class RecognitionSettings(BaseModel):
    """How speech is recognized. The endpoint rules, in seconds, have sherpa-onnx's names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        None,
        description="`sherpa:DIR` or `sherpa:NAME`, a published model; the bundle's if unset",
    )
    search: Literal["words", "beam", "greedy"] | None = Field(
        None,
        description="words, beam or greedy; if unset, the first that the bundle is made for, and "
        "beam for hot words",
    )
    beam: int = Field(16, ge=1, le=100, description="texts that a beam search keeps")
    hot_words: tuple[str, ...] = Field((), description="words and phrases to be expected")
    hot_words_boost: float = Field(1.5, ge=0, description="nats for every unit of a hot word")
    rule1_min_trailing_silence: float = Field(
        2.4, gt=0, description="silence that ends an utterance, whether or not anything was said"
    )
    rule2_min_trailing_silence: float = Field(
        1.2, gt=0, description="silence after words that ends an utterance"
    )
    rule3_min_utterance_length: float = Field(
        20.0, gt=0, description="length that ends an utterance, whatever was said"
    )

    @model_validator(mode="after")
    def _check_search(self) -> RecognitionSettings:
        if self.hot_words and self.search not in (None, "beam"):
            raise ValueError(f"search = {self.search!r} knows no hot words: use beam")
        return self


RECOGNITION = RecognitionSettings()


class RoomSettings(BaseModel):
    """A room: one camera, one microphone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, description="what its events call it", min_length=1)
    camera: str = Field("none", description="as `camera` of the whole run")
    mic: str = Field("none", description="as `mic` of the whole run")


class Settings(BaseModel):
    """Everything about a run that a user may choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Path | None = Field(None, description="bundle to run; the one in the package if unset")
    camera: Several = Field(
        ("0",),
        description="index, URL (rtsp, http), file, GStreamer pipeline, or `none`; one per room",
    )
    mic: Several = Field(
        ("default",),
        description="index, name, URL, sound file, `default`, or `none`; one, or one per room",
    )
    room: tuple[RoomSettings, ...] = Field(
        (), description="rooms by name, each with camera and mic, instead of `camera` and `mic`"
    )
    sink: Several = Field(("-",), description="where events go: `-` or a .jsonl file")
    ticks_per_second: float = Field(5.0, ge=1, le=30, description="answers per second")
    budget_ms: int = Field(100, ge=10, le=5000, description="time a tick may take to compute")
    providers: Annotated[dict[RoleName, Provider], BeforeValidator(_pairs)] = Field(
        {}, description="what a role runs on: auto, cpu, cuda, onnx-tensorrt or tensorrt"
    )

    recognition: RecognitionSettings = Field(
        RECOGNITION, description="a table: how speech is recognized"
    )

    @model_validator(mode="after")
    def _check_rooms(self) -> Settings:
        if self.room:
            names = [room.name for room in self.room]
            if None in names or len(set(names)) < len(names):
                raise ValueError("every room needs a name of its own")
            if self.model_fields_set & {"camera", "mic"}:
                raise ValueError("give rooms, or camera and mic, not both")
        elif len(self.mic) not in (1, len(self.camera)):
            raise ValueError(f"{len(self.camera)} cameras take one mic or as many, one for each")
        return self

    @property
    def rooms(self) -> tuple[RoomSettings, ...]:
        """The rooms; they have names when there are several."""
        if self.room:
            return self.room
        mics = self.mic * (len(self.camera) if len(self.mic) == 1 else 1)
        several = len(self.camera) > 1
        return tuple(
            RoomSettings(name=f"room {number}" if several else None, camera=camera, mic=mic)
            for number, (camera, mic) in enumerate(zip(self.camera, mics, strict=True), start=1)
        )

    @property
    def room_budget_ms(self) -> int:
        """What a tick may take: rooms take turns, and none may take the next one's time."""
        turn_ms = int(1000 / self.ticks_per_second / len(self.rooms))
        return min(self.budget_ms, turn_ms) if len(self.rooms) > 1 else self.budget_ms


def load(
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Gather the settings.

    Args:
        file: a TOML file; `SYSTEM_FILE`, if there is one, when ``None``.
        flags: what the command line says; ``None`` values count as not given, and a table goes
            beside what the file says in it.
        environment: where ``MERA_EDGE_BUDGET_MS`` and its like are looked up.

    Raises:
        ConfigError: an unreadable file, an unknown key (names the nearest) or a bad value.
    """
    values: dict[str, tuple[Any, str]] = {}
    if file is not None or SYSTEM_FILE.is_file():
        path = SYSTEM_FILE if file is None else file
        values.update({key: (value, str(path)) for key, value in _read(path).items()})
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS:
            key = name.removeprefix(PREFIX).lower()
            values[key] = (value.split(",") if key == "sink" else value, name)
    for key, flag in (flags or {}).items():
        before = values.get(key, ({}, ""))[0]
        if isinstance(flag, Mapping) and isinstance(before, Mapping):
            flag = {**before, **{name: each for name, each in flag.items() if each is not None}}
        if flag is not None:
            values[key] = (flag, f"--{key.replace('_', '-')}")
    if (flags or {}).get("camera") or (flags or {}).get("mic"):
        values.pop("room", None)  # a file's: flags win
    for key, (_, where) in values.items():
        if key not in Settings.model_fields:
            near = get_close_matches(key, Settings.model_fields, n=1)
            known = ", ".join(Settings.model_fields)
            remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {known}"
            raise ConfigError(f"{where}: unknown key {key!r}", remedy)
    try:
        return Settings.model_validate({key: value for key, (value, _) in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise ConfigError(first["msg"].removeprefix("Value error, "), "") from error
        key, why = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{values[key][1]}: {key} = {values[key][0]!r}: {why}",
            Settings.model_fields[key].description or "",
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "give a TOML file") from error
    return values
