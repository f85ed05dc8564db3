"""Privacy settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mera_edge.labels import MODALITIES, ModalityName

Words = Literal["off", "final", "all"]


def parts(value: Any) -> Any:
    """Split a comma-separated string."""
    several = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() if isinstance(part, str) else part for part in several)


class PrivacySettings(BaseModel):
    """What is analysed, and what leaves the process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transcript: Words = Field(
        "off",
        description="words that sinks receive: `off` (none), `final` (of utterances that have "
        "ended) or `all`. Stdout and the live view always receive all",
    )

    modalities: Annotated[tuple[ModalityName, ...], BeforeValidator(parts)] = Field(
        MODALITIES,
        min_length=1,
        description="modalities to analyse: voice, face, text. Without voice and face, only the "
        "words count; a device that serves none of them is not opened",
    )
    state_directory: Path | None = Field(
        None,
        description="folder for the audit log and for switches that survive a restart; default: "
        "systemd's `StateDirectory=`, if there is one",
    )
    acknowledged: bool = Field(
        False,
        description="confirms that you know Articles 5 and 50 of the EU's AI Act; until then, "
        "`run` asks once in a terminal and warns elsewhere",
    )


PRIVACY = PrivacySettings()
