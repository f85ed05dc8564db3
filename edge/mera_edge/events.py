"""The messages for sinks: an `EmotionEvent` per answer, and a `Summary` at the end."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS, ModalityName
from mera_edge.reasons import ReasonCode

SCHEMA: Final = "mera-edge/event/1"

SourceState = Literal["connecting", "live", "stalled", "gone", "off"]
"""State of a camera or microphone."""


def _all_emotions(probabilities: dict[str, float]) -> dict[str, float]:
    if set(probabilities) != set(EMOTIONS):
        raise ValueError(f"probabilities must name {', '.join(EMOTIONS)}")
    return {name: probabilities[name] for name in EMOTIONS}  # JSON tools may have sorted them


Share = Annotated[float, Field(ge=0, le=1)]
Probabilities = Annotated[
    dict[str, Share],
    AfterValidator(_all_emotions),
    Field(json_schema_extra={"required": list(EMOTIONS), "propertyNames": {"enum": [*EMOTIONS]}}),
]
Code = Annotated[
    ReasonCode | str | None,
    Field(description="reason code for programs; readers must accept codes they do not know"),
]


def named(probabilities: NDArray[np.floating]) -> dict[str, float]:
    """Return ``[7]`` as a mapping from emotion to probability, rounded to four decimals."""
    return {name: round(float(p), 4) for name, p in zip(EMOTIONS, probabilities, strict=True)}


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # later versions may add fields


_L = TypeVar("_L", bound="_Line")


class _Line(_Message):
    """A message that is written as one line."""

    def to_json(self) -> str:
        """Return one line of JSON. Fields that are ``None`` are omitted, except `emotion`."""
        return json.dumps(self.to_fields(), ensure_ascii=False, separators=(",", ":"))

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of `to_json` as a dictionary."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        fields.setdefault("emotion", None)
        return fields

    @classmethod
    def from_json(cls: type[_L], line: str) -> _L:
        """Parse a line. Unknown fields are ignored.

        Raises:
            InputError: the line does not match the schema; the message names the field.
        """
        try:
            return cls.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            schema = cls.model_fields["schema_"].default
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"not a line of schema {schema}: {where}: {first['msg']}") from error


class Emotion(_Message):
    """An emotion with its probabilities."""

    label: str = Field(description="the most probable of the seven emotions")
    confidence: Share = Field(description="probability of the label")
    valence: float = Field(ge=-1, le=1, description="from unpleasant (-1) to pleasant (1)")
    probabilities: Probabilities = Field(description="probability of each of the seven emotions")

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], valence: float) -> Emotion:
        """Create one from probabilities ``[7]`` and a valence."""
        shares = named(probabilities)
        label = max(shares, key=lambda name: shares[name])
        valence = round(min(1.0, max(-1.0, float(valence))), 4)
        return cls(label=label, confidence=shares[label], valence=valence, probabilities=shares)


class Modality(_Message):
    """One modality in an event."""

    state: Literal["used", "missing"] = Field(description="whether it is part of the answer")
    reason: str | None = Field(None, description="why it is missing, or why it deserves less trust")
    reason_code: Code = None
    age_ms: int | None = Field(None, ge=0, description="age of its newest sample, from capture")
    weight: Share | None = Field(None, description="weight in the fused answer")
    probabilities: Probabilities | None = Field(
        None, description="probability of each of the seven emotions"
    )


class Transcript(_Message):
    """The words recognized so far."""

    text: str = Field(
        description="lower case without punctuation from the streaming pass, upper and lower case "
        "with punctuation from the final pass; a final text is empty if the words shown before "
        "were rejected, for example speech in another language"
    )
    final: bool = Field(description="whether the utterance has ended")
    confidence: Share = Field(
        description="expected share of correct words; from 0.5 the words count as evidence"
    )
    recognized_by: Literal["streaming", "final"] = Field(
        "streaming", description="the pass that produced the text, or most of it while it grows"
    )
    settled_words: int = Field(
        0,
        ge=0,
        description="if the text is not final: number of leading words that the final pass "
        "recognized twice and that will probably not change",
    )
    final_pass_ms: float = Field(
        0.0,
        ge=0,
        description="time that the final pass has spent on this utterance so far, in its own "
        "thread beside the ticks",
    )
    withheld: Literal[True] | None = Field(
        None, description="true if `privacy.transcript` keeps the words from this sink"
    )


class Latency(_Message):
    """Age and cost of an answer."""

    compute_ms: float = Field(ge=0, description="compute time of this tick")
    staleness_ms: int | None = Field(
        None, ge=0, description="age of the newest evidence at publication, from its capture"
    )
    budget_ms: int = Field(ge=0, description="limit for compute_ms")
    late: bool = Field(description="whether compute_ms exceeded the budget")
    skipped: tuple[str, ...] = Field((), description="stages skipped in this tick")
    pressed_by: Literal["slow", "busy", "hot"] | None = Field(
        None, description="why stages are skipped: slow ticks, a busy CPU, or a hot board"
    )
    slept_s: int | None = Field(None, description="time just spent suspended, in seconds")


UNCLEAR: Final = "unclear"


class Moment(_Message):
    """The state of a person, smoothed over single answers."""

    label: str = Field(
        description="one of the seven emotions, or `unclear` if none is confident enough"
    )
    confidence: Share = Field(
        description="mean probability of the label over the last seconds; for `unclear`, of the "
        "most likely emotion"
    )
    since: str | None = Field(None, description="`at` of the event that began it; not for files")
    lasts_s: float = Field(ge=0, description="duration so far, in seconds")
    changed_by: ModalityName | None = Field(
        None, description="the modality that contributed most to the change; absent for the first"
    )


class SourceStatus(_Message):
    """State of a camera or microphone."""

    name: str | None = Field(None, description="device or address, without secrets")
    state: SourceState = Field(
        description="not ready yet, delivering, silent or frozen, lost, switched off"
    )
    reason: str | None = Field(None, description="why it is not live")
    reason_code: Code = None


class RunInfo(_Message):
    """Facts about the run, the same for all of its events."""

    version: str = Field(description="version of mera-edge")
    bundle: str = Field(description="name of the bundle")
    bundle_id: str = Field(description="hash of the bundle's models")


class EmotionEvent(_Line):
    """One answer of the pipeline: one JSON object on one line."""

    schema_: Literal["mera-edge/event/1"] = Field(
        SCHEMA, alias="schema", description="schema of the line"
    )
    run: str | None = Field(None, description="id of the run, new after every start")
    sequence: int | None = Field(
        None,
        ge=0,
        description="counts the events of a run over all rooms; a gap means lost "
        "or filtered events",
    )
    about: RunInfo | None = Field(None, description="only in the first event of a run")
    at: str = Field(description="wall-clock time, ISO 8601 in UTC")
    media_time_s: float | None = Field(
        None, description="position in the file in seconds; only for files"
    )
    room: str | None = Field(None, description="name of the room, if there are several")
    room_id: str | None = Field(
        None,
        description="id of the room, stable across restarts; not for files",
    )
    person: int | None = Field(
        None, description="id of the tracked face, stable while it is in view"
    )
    emotion: Emotion | None = Field(None, description="null if there is no evidence at all")
    moment: Moment | None = Field(
        None, description="the state of the person or room that the answer belongs to"
    )
    why: str | None = Field(
        None, description="what the answer rests on, in one line for people; the wording may change"
    )
    modalities: dict[ModalityName, Modality] = Field(description="state of each modality")
    transcript: Transcript = Field(description="words of the current or the last utterance")
    latency: Latency = Field(description="age and cost of the answer")
    sources: dict[str, SourceStatus] | None = Field(
        None,
        description="state of every camera and microphone, by id; not for files",
    )
    fallbacks: dict[str, str] | None = Field(
        None, description="by role, why a model runs on the CPU instead of the requested provider"
    )


class Segment(_Message):
    """A past moment: one part of the course of a run."""

    begin_s: float = Field(ge=0, description="start, in seconds since its room began")
    end_s: float = Field(ge=0, description="time of its last event")
    label: str = Field(description="one of the seven emotions, or `unclear`")
    confidence: Share = Field(description="mean confidence of the moment")
    room: str | None = Field(None, description="name of the room, if there are several")
    person: int | None = Field(None, description="id of the tracked face, if there was one")
    why: str | None = Field(None, description="what its first answer rested on")


class Summary(_Line):
    """Summary of a whole file or run."""

    schema_: Literal["mera-edge/summary/1"] = Field(
        "mera-edge/summary/1", alias="schema", description="schema of the line"
    )
    file: str | None = Field(None, description="name of the file, for files")
    emotion: Emotion | None = Field(
        None,
        description="mean of all answers, weighted by confidence; absent if "
        "there are several rooms",
    )
    rooms: dict[str, Emotion] | None = Field(
        None, description="the same per room, if there are several"
    )
    course: tuple[Segment, ...] | None = Field(None, description="moments in order, the newest 100")
    transcript: str = Field(description="full transcript")
    duration_s: float = Field(ge=0, description="length of the stream")
    events: int = Field(ge=0, description="number of events")
    evidence: dict[ModalityName, Share] = Field(
        description="share of events that used each modality"
    )
    real_time_factor: float = Field(ge=0, description="processing time divided by duration")
    compute_ms: dict[str, float] = Field(description="p50, p95 and maximum over the events")
    interrupted: bool = Field(False, description="whether the run was stopped early")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the lines of a run: events and the summary."""
    lines: TypeAdapter[EmotionEvent | Summary] = TypeAdapter(EmotionEvent | Summary)
    schema = lines.json_schema(by_alias=True)
    for line in ("EmotionEvent", "Summary"):
        schema["$defs"][line]["required"].insert(0, "schema")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line that mera-edge writes",
        **schema,
    }


def timestamp(seconds_since_epoch: float) -> str:
    """Format a time as in events: ``2026-11-22T12:00:00.123Z``."""
    moment = datetime.fromtimestamp(seconds_since_epoch, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
