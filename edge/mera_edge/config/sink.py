"""Settings of a sink."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mera_edge.config.privacy import Words, parts

STDOUT = ("-", "/dev/stdout")


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(parts)]
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


class SinkSettings(BaseModel):
    """A sink: where events go, and which ones. A URL may contain the same keys after `?`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str = Field(min_length=1, description="`-`, a .jsonl file, or a URL")
    on: Literal["event", "change"] = Field(
        "event",
        description="`change`: only events in which the label of the moment, or the state of a "
        "camera or microphone, changes",
    )
    every_s: float = Field(
        0, ge=0, le=86_400, description="minimum interval between two events of a room, in seconds"
    )
    keep_days: int | None = Field(
        None,
        ge=0,
        le=36_500,
        description="a file: write one file per day (UTC) and delete it after this many days",
    )
    password_file: str | None = Field(
        None,
        description="mqtt: file or systemd credential with the password of the user in the URL",
        min_length=1,
    )
    ca_file: str | None = Field(
        None,
        description="mqtts: CA certificates (PEM) to check the broker's certificate with; default: "
        "the system's",
        min_length=1,
    )
    node: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="mqtt: name of this device in topics and ids; default: derived from the "
        "machine id",
    )
    discovery: str = Field(
        "homeassistant",
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="mqtt: discovery prefix of Home Assistant; empty: no discovery",
    )
    token_file: str | None = Field(
        None,
        description="http: file or systemd credential with the bearer token of requests; required "
        "unless bound to the loopback interface",
        min_length=1,
    )
    hosts: Names = Field(
        (), description="http: additional host names under which this machine is reached"
    )
    trusted: Names = Field(
        (),
        description="http: addresses of proxies that authenticate users themselves; "
        "they need no token",
    )
    transcript: Words | None = Field(
        None,
        description="overrides `[privacy] transcript` for this sink; stdout gets all words",
    )

    @model_validator(mode="after")
    def _check_days(self) -> SinkSettings:
        if self.keep_days is not None and (self.scheme or self.to in STDOUT):
            raise ValueError("`keep_days` applies only to files: omit it")
        return self

    @model_validator(mode="after")
    def _check_selection(self) -> SinkSettings:
        if self.scheme in ("mqtt", "mqtts") and (self.on != "event" or self.every_s):
            raise ValueError("omit `on` and `every_s`: a broker gets changes only")
        return self

    @property
    def place(self) -> SinkSettings:
        """The settings that require reopening the sink when they change."""
        words = self.transcript if self.scheme in ("mqtt", "mqtts") else None
        return self.model_copy(update={"on": "event", "every_s": 0, "transcript": words})

    def with_words(self, words: Words) -> SinkSettings:
        """Return a copy with ``transcript`` resolved; stdout belongs to the user and gets all."""
        words = self.transcript or ("all" if self.to in STDOUT else words)
        return self.model_copy(update={"transcript": words})

    @property
    def scheme(self) -> str | None:
        """Scheme of the URL in lower case; ``None`` for stdout and files."""
        found = _URL.match(self.to)
        return found[1].lower() if found else None


def tables(value: Any) -> Any:
    """Convert strings to tables: `to`, and further keys from the query of a URL."""
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple(_table(each) if isinstance(each, str) else each for each in several)


def _table(target: str) -> Mapping[str, Any]:
    to, mark, options = target.partition("?")
    if not mark or not _URL.match(target):
        return {"to": target}
    try:
        return {**dict(parse_qsl(options, keep_blank_values=True, strict_parsing=True)), "to": to}
    except ValueError as error:
        raise ValueError("write URL options as ?KEY=VALUE&KEY=VALUE") from error
