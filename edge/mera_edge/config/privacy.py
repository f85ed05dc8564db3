"""What a user may choose about what is kept back."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Words = Literal["off", "final", "all"]


class PrivacySettings(BaseModel):
    """What of a run stays where it was said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transcript: Words = Field(
        "off",
        description="words that sinks get: off, `final` ones of utterances that are over, or all. "
        "Stdout and the live view have all, whatever this says",
    )


PRIVACY = PrivacySettings()
