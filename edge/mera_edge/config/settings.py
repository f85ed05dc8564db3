"""Settings of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mera_edge.bundle.manifest import PublishedRole, RoleName
from mera_edge.config.privacy import PRIVACY, PrivacySettings
from mera_edge.config.sink import SinkSettings, tables
from mera_edge.config.wyoming import WYOMING, WyomingSettings
from mera_edge.credentials import PLACE, password, wants_password, with_password
from mera_edge.engine.factory import Provider
from mera_edge.errors import ConfigError


def _pairs(value: Any) -> Any:
    """Parse ``face=cuda, voice=cpu``, the format in environment variables, into a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("write ROLE=VALUE, for example face=cpu")
    return {name.strip(): provider.strip() for name, _, provider in pairs}


def _several(value: Any) -> Any:
    """Wrap a single value in a tuple."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _spec(value: Any) -> Any:
    """Convert an index to a string, and validate it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("write an index (0) or a text in quotes")
    if re.fullmatch(r"\s*-\d+\s*", value):
        raise ValueError("an index must be 0 or more")
    if not value.strip():
        raise ValueError("it is empty; write `none` for none")
    return value.strip()


def _tables(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise ValueError("write [[room]] in double brackets")
    return value


Spec = Annotated[str, BeforeValidator(_spec)]
Specs = Annotated[tuple[Spec, ...], BeforeValidator(_several), Field(min_length=1)]
Several = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)]


class RecognitionSettings(BaseModel):
    """How speech is recognized. The endpoint rules, in seconds, have sherpa-onnx's names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        None,
        description="`sherpa:DIR` or `sherpa:NAME` (a pulled model) instead of the bundle's",
    )
    final: str = Field(
        "auto",
        description="second pass over utterances: none, the name of a pulled model, `sherpa:DIR`, "
        "or auto: a pulled one that supports the streaming recognizer's languages",
    )
    search: Literal["words", "beam", "greedy"] | None = Field(
        None,
        description="words, beam or greedy; default: the first that the bundle supports, or beam "
        "with hot words",
    )
    beam: int = Field(16, ge=1, le=100, description="beam width")
    hot_words: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="words and phrases to bias recognition towards"
    )
    hot_words_boost: float = Field(1.5, ge=0, description="bonus per unit of a hot word, in nats")
    rule1_min_trailing_silence: float = Field(
        2.4,
        gt=0,
        description="silence, in seconds, that ends an utterance, whether or not anything was said",
    )
    rule2_min_trailing_silence: float = Field(
        1.2, gt=0, description="silence, in seconds, that ends an utterance with words"
    )
    rule3_min_utterance_length: float = Field(
        20.0, gt=0, description="longest utterance, in seconds"
    )

    @model_validator(mode="after")
    def _check_search(self) -> RecognitionSettings:
        if self.hot_words and self.search not in (None, "beam"):
            raise ValueError(f"search = {self.search!r} does not support hot words; use beam")
        return self


RECOGNITION = RecognitionSettings()


class RoomSettings(BaseModel):
    """A room: one camera and one microphone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, description="name of the room in events", min_length=1)
    camera: Spec = Field("none", description="as `camera` above")
    mic: Spec = Field("none", description="as `mic` above")
    password_file: str | None = Field(None, description="as `password_file` above", min_length=1)

    @property
    def id(self) -> str:
        """Identifier derived from the name; ``room_1`` without a name."""
        return re.sub(r"\W+", "_", (self.name or "room 1").lower()).strip("_") or "room"

    def addresses(self) -> tuple[str, str]:
        """Return camera and mic with the password inserted.

        Raises:
            ConfigError: the password cannot be read, or neither address has a place for it.
        """
        if self.password_file is None:
            return self.camera, self.mic
        if not (wants_password(self.camera) or wants_password(self.mic)):
            raise ConfigError(
                f"{self.id}: password_file is unused: neither camera nor mic has a "
                "place for a password",
                f"write the user, rtsp://USER@HOST/PATH, or {PLACE} where the password belongs",
            )
        secret = password(self.password_file)
        return with_password(self.camera, secret), with_password(self.mic, secret)


class Settings(BaseModel):
    """All settings of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Path | None = Field(None, description="bundle to use; default: the one in the package")
    camera: Specs = Field(
        ("0",),
        description="index, device (`/dev/v4l/by-id/...`), URL (rtsp, http), file, GStreamer "
        "pipeline, or `none`; one per room",
    )
    mic: Specs = Field(
        ("default",),
        description="index, name, URL, sound file, `default`, or `none`; one, or one per room",
    )
    password_file: Several = Field(
        (),
        description="file or systemd credential with the password of the URLs; it "
        "belongs to the user "
        "(`rtsp://USER@HOST/`) or replaces `{password}`; one, or one per room",
    )
    room: Annotated[tuple[RoomSettings, ...], BeforeValidator(_tables)] = Field(
        (),
        description="tables, one per room, each with a name, camera and mic; "
        "instead of the keys above",
    )
    sink: Annotated[tuple[SinkSettings, ...], BeforeValidator(tables), Field(min_length=1)] = Field(
        (SinkSettings(to="-"),), description="where events go: `to` alone, or tables"
    )
    ticks_per_second: float = Field(
        5.0,
        ge=1,
        le=30,
        description="answers per second, and one more at the end of an utterance; at most 1.7 in "
        "an empty room",
    )
    budget_ms: int = Field(
        100, ge=10, le=5000, description="compute budget per answer, in milliseconds"
    )
    providers: Annotated[dict[RoleName, Provider], BeforeValidator(_pairs)] = Field(
        {},
        description="execution provider by role: auto, cpu, cuda, onnx-tensorrt, "
        "openvino, tensorrt, "
        "tensorrt-rtx or webgpu",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged to stderr"
    )
    published: Annotated[dict[PublishedRole, str], BeforeValidator(_pairs)] = Field(
        {},
        description="pulled models in place of the bundle's, by role (vad, voice, face_detector, "
        'face, text), as `face_detector = "yunet"`',
    )
    recognition: RecognitionSettings = Field(RECOGNITION, description="a table: speech recognition")
    privacy: PrivacySettings = Field(PRIVACY, description="a table: what leaves the process")
    wyoming: WyomingSettings = Field(WYOMING, description="a table: `mera-edge wyoming`")

    @model_validator(mode="after")
    def _check_rooms(self) -> Settings:
        cameras, files = len(self.camera), len(self.password_file)
        if self.room:
            ids = {room.id for room in self.room if room.name is not None}
            if len(ids) < len(self.room):
                raise ValueError("every room needs a unique name")
            if self.model_fields_set & set(OF_ROOMS):
                raise ValueError("give either rooms, or camera and mic")
        elif len(self.mic) not in (1, cameras):
            raise ValueError(f"{cameras} cameras need one mic, or one mic each")
        elif files not in (0, 1, cameras):
            raise ValueError(f"{cameras} cameras need one password_file, or one each")
        return self

    @property
    def rooms(self) -> tuple[RoomSettings, ...]:
        """The rooms; if there are several, they have names."""
        if self.room:
            return self.room
        several = len(self.camera) > 1
        each = [
            values * (len(self.camera) if len(values) == 1 else 1)
            for values in (self.mic, self.password_file or (None,))
        ]
        return tuple(
            RoomSettings(
                name=f"room {number}" if several else None,
                camera=camera,
                mic=str(mic),
                password_file=file,
            )
            for number, (camera, mic, file) in enumerate(
                zip(self.camera, *each, strict=True), start=1
            )
        )

    @property
    def sinks(self) -> tuple[SinkSettings, ...]:
        """The sinks, with `privacy.transcript` applied."""
        return tuple(sink.with_words(self.privacy.transcript) for sink in self.sink)

    @property
    def room_budget_ms(self) -> int:
        """Compute budget of a tick: rooms are processed in turn, so each gets only its share."""
        turn_ms = int(1000 / self.ticks_per_second / len(self.rooms))
        return min(self.budget_ms, turn_ms) if len(self.rooms) > 1 else self.budget_ms


OF_ROOMS = ("camera", "mic", "password_file")
"""Settings that tables of rooms replace."""
TABLES: dict[str, type[BaseModel]] = {
    name: model
    for name, field in Settings.model_fields.items()
    for model in (field.annotation, *get_args(field.annotation))
    if isinstance(model, type) and issubclass(model, BaseModel)
}
"""Settings that are tables, by key."""
