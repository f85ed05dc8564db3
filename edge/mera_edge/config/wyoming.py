"""Settings of the Wyoming service."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WyomingSettings(BaseModel):
    """Address, upstream recognizer and announcement of `mera-edge wyoming`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(
        "tcp://127.0.0.1:10300", description="where to listen: tcp://HOST:PORT or unix://PATH"
    )
    upstream: str | None = Field(
        None,
        description="another recognizer, tcp://HOST:PORT, that transcribes instead",
    )
    zeroconf: bool = Field(
        False,
        description="announce the service on the local network (multicast DNS), so that Home "
        "Assistant discovers it",
    )


WYOMING = WyomingSettings()
