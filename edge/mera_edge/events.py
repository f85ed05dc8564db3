"""The messages: `Evidence` goes from a stage to the fusion, `EmotionEvent` from there to a sink."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS, ModalityName

SCHEMA: Final = "mera-edge/event/1"

SourceState = Literal["connecting", "live", "stalled", "gone"]
"""How a camera or microphone is doing: not there yet, giving, silent or stuck, lost."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one modality says at one moment."""

    modality: ModalityName
    captured_s: float
    """Stream time, in seconds, of the newest sample, picture or word that it rests on."""
    probabilities: NDArray[np.float32]
    """``[7]`` in the order of `EMOTIONS`, summing to one."""
    valence: float
    """In [-1, 1]."""
    embedding: NDArray[np.float32]
    """``[D]``, what the fusion reads."""
    person: int | None = None
    """Whose face it is; ``None`` for voice and words."""


def _all_emotions(probabilities: dict[str, float]) -> dict[str, float]:
    if tuple(probabilities) != EMOTIONS:
        raise ValueError(f"probabilities must name {', '.join(EMOTIONS)}, in this order")
    return probabilities


Share = Annotated[float, Field(ge=0, le=1)]
Probabilities = Annotated[dict[str, Share], AfterValidator(_all_emotions)]


def named(probabilities: NDArray[np.floating]) -> dict[str, float]:
    """Return ``[7]`` as a mapping from emotion to probability, at four decimals."""
    return {name: round(float(p), 4) for name, p in zip(EMOTIONS, probabilities, strict=True)}


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Emotion(_Message):
    """An emotion with its doubts."""

    label: str = Field(description="the most probable of the seven emotions")
    confidence: Share = Field(description="its probability")
    valence: float = Field(ge=-1, le=1, description="from unpleasant (-1) to pleasant (1)")
    probabilities: Probabilities

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], valence: float) -> Emotion:
        """Make one from ``[7]`` probabilities and a valence."""
        shares = named(probabilities)
        label = max(shares, key=lambda name: shares[name])
        valence = round(min(1.0, max(-1.0, float(valence))), 4)
        return cls(label=label, confidence=shares[label], valence=valence, probabilities=shares)


class Modality(_Message):
    """What became of one modality in an event."""

    state: Literal["used", "missing"]
    reason: str | None = Field(None, description="why it is missing, or nothing newer comes")
    age_ms: int | None = Field(None, ge=0, description="since its newest sample was captured")
    weight: Share | None = Field(None, description="its share in the fused answer")
    probabilities: Probabilities | None = None


class Transcript(_Message):
    """The words heard so far."""

    text: str
    final: bool = Field(description="whether the speaker has come to an end")
    confidence: Share


class Latency(_Message):
    """How old the answer is, and what it cost."""

    compute_ms: float = Field(ge=0, description="time this tick took to compute")
    staleness_ms: int | None = Field(
        None, ge=0, description="age of the newest evidence at publication, from its capture"
    )
    budget_ms: int = Field(ge=0, description="what compute_ms should stay under")
    late: bool = Field(description="whether it did not")
    skipped: tuple[str, ...] = Field((), description="stages left out of this tick")


class SourceStatus(_Message):
    """How a camera or microphone is doing."""

    state: SourceState
    reason: str | None = Field(None, description="why it is not live")


class EmotionEvent(_Message):
    """One answer of the pipeline: one JSON object on one line."""

    schema_: Literal["mera-edge/event/1"] = Field(SCHEMA, alias="schema")
    at: str = Field(description="time of day, ISO 8601 in UTC")
    media_time_s: float | None = Field(None, description="position in the file, for files only")
    room: str | None = Field(None, description="which room, when there are several")
    person: int | None = Field(None, description="the tracked face, stable while it is in view")
    emotion: Emotion | None = Field(description="null while there is no evidence at all")
    modalities: dict[ModalityName, Modality]
    transcript: Transcript
    latency: Latency
    sources: dict[str, SourceStatus] | None = Field(
        None, description="every camera and microphone; not for files"
    )
    fallbacks: dict[str, str] | None = Field(
        None, description="by role, why its model runs on the CPU and not on what was asked for"
    )

    def to_json(self) -> str:
        """Return the event as one line of JSON, without the fields that are absent."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, line: str) -> EmotionEvent:
        """Read an event back.

        Raises:
            InputError: the line is no event of this schema; the message says which field.
        """
        try:
            return cls.model_validate_json(line)
        except ValueError as error:
            raise InputError(f"not an event of schema {SCHEMA}: {error}") from error


class Summary(_Message):
    """What a whole file or run amounts to."""

    schema_: Literal["mera-edge/summary/1"] = Field("mera-edge/summary/1", alias="schema")
    file: str | None = Field(None, description="the file, when it was one")
    emotion: Emotion | None = Field(
        description="mean of the events' answers, weighted by confidence; none of several rooms"
    )
    rooms: dict[str, Emotion] | None = Field(
        None, description="the same for each room that had answers, where there are several"
    )
    transcript: str
    duration_s: float = Field(ge=0, description="length of the stream")
    events: int = Field(ge=0, description="answers given")
    evidence: dict[ModalityName, Share] = Field(
        description="share of events that had each modality"
    )
    real_time_factor: float = Field(ge=0, description="processing time over duration")
    compute_ms: dict[str, float] = Field(description="p50, p95 and max over the events")
    interrupted: bool = Field(False, description="whether it was ended before its end")

    def to_json(self) -> str:
        """Return the summary as one line of JSON, without the fields that are absent."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


def timestamp(seconds_since_epoch: float) -> str:
    """Return a time of day as the events write it: ``2026-11-22T12:00:00.123Z``."""
    moment = datetime.fromtimestamp(seconds_since_epoch, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
