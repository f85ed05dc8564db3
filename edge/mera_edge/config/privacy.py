"""What a user may choose about what is kept back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mera_edge.labels import MODALITIES, ModalityName

Words = Literal["off", "final", "all"]


def parts(value: Any) -> Any:
    """Read ``a, b`` into a list."""
    several = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() if isinstance(part, str) else part for part in several)


class PrivacySettings(BaseModel):
    """What of a run stays where it was said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transcript: Words = Field(
        "off",
        description="words that sinks get: off, `final` ones of utterances that are over, or all. "
        "Stdout and the live view have all, whatever this says",
    )

    modalities: Annotated[tuple[ModalityName, ...], BeforeValidator(parts)] = Field(
        MODALITIES,
        min_length=1,
        description="what is looked at and listened to: voice, face, text. Without voice and face "
        "the words alone count; a device that serves none of them is not opened",
    )
    state_directory: Path | None = Field(
        None,
        description="folder of the audit log, and of switches that outlast a restart; systemd's "
        "`StateDirectory=` if unset, none without one",
    )
    acknowledged: bool = Field(
        False,
        description="that Articles 5 and 50 of the EU's AI Act are known: `run` asks once in a "
        "terminal, and warns elsewhere, until this is true",
    )


PRIVACY = PrivacySettings()
