"""From what was observed to the event: which evidence still counts, and what it says together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    SourceStatus,
    Transcript,
    named,
    timestamp,
)
from mera_edge.evidence import Evidence
from mera_edge.labels import MODALITIES, ModalityName
from mera_edge.pipeline.latency_budget import Pressure
from mera_edge.pipeline.moment import Moments
from mera_edge.pipeline.stage_runner import Stages
from mera_edge.reasons import OFF, Reason
from mera_edge.stages.fusion import FusionResult, FusionStage
from mera_edge.wording import why

LONGEST_AGE_S: dict[ModalityName, float] = {"voice": 3.0, "face": 1.0, "text": 8.0}
"""How long evidence stays true: a face is seen again at once, words keep their meaning."""

_REMEMBERED = 1000
"""Utterances kept for the transcript: a run may last for months."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one tick brought to light: all that its event follows from, but its cost."""

    now_s: float
    """Stream time, in seconds."""
    evidence: tuple[Evidence, ...]
    """What is new, at most one piece per modality."""
    missing: dict[ModalityName, Reason]
    """Why each modality is missing, if it is."""
    transcript: Transcript
    ended: bool
    """Whether the transcript is a whole utterance, which ended in this tick."""
    skipped: tuple[str, ...]
    """Stages left out for want of time."""
    is_media: bool
    """Whether the stream is a file."""
    sources: dict[str, SourceStatus] | None = None
    """How each camera and microphone is doing."""
    failures: dict[ModalityName, str] = field(default_factory=dict)
    """Modalities of which a stage fails, and how: there may be evidence that is young enough."""
    cautions: dict[ModalityName, Reason] = field(default_factory=dict)
    """Why modalities that are used deserve less trust."""


@dataclass(frozen=True, slots=True)
class TickCost:
    """When a tick was done, and what it took: the part of an event that no evidence explains."""

    at_s: float
    """Time of day, in seconds since 1970."""
    compute_ms: float
    budget_ms: int
    fallbacks: dict[str, str] | None = None
    """Roles that do not run on what was asked for, and why."""
    pressed_by: Pressure | None = None
    """Why there was less than full service."""
    slept_s: int | None = None
    """How long the machine slept before."""


class EventBuilder:
    """Remembers the newest evidence of every modality and fuses what is young enough.

    The same observations give the same events, live or replayed.

    Args:
        stages: makes the fusion.
    """

    def __init__(self, stages: Stages) -> None:
        self._fusion = stages.runner("fusion", FusionStage)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next observation is the first of a new stream."""
        self._fusion.reset()
        self._latest: dict[ModalityName, Evidence] = {}
        self._used: dict[ModalityName, Evidence] = {}
        self._fused: FusionResult | None = None
        self._moments = Moments()
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._transcript = Transcript(text="", final=False, confidence=0.0)

    @property
    def transcript(self) -> str:
        """What was said since the last reset (the newest 1,000 utterances)."""
        current = "" if self._transcript.final else self._transcript.text
        return " ".join([*self._said, current]).strip()

    def warm_up(self, evidence: Sequence[Evidence]) -> None:
        """Run the model once; what is remembered stays as it is."""
        self._fusion.call(1.0, lambda fusion: fusion.fuse(evidence, 1.0))

    def fuse(self, observation: Observation) -> None:
        """Take what one tick brought."""
        now_s = observation.now_s
        off = {name for name, reason in observation.missing.items() if reason.code in OFF}
        if len(off) == len(MODALITIES):
            self._moments = Moments()
        self._latest.update({evidence.modality: evidence for evidence in observation.evidence})
        for name in off:  # it does not count when its source is on again, either
            self._latest.pop(name, None)
        self._used = {
            name: evidence
            for name, evidence in self._latest.items()
            if now_s - evidence.captured_s <= LONGEST_AGE_S[name]
        }
        self._fused = None
        if used := list(self._used.values()):
            self._fused = self._fusion.call(now_s, lambda fusion: fusion.fuse(used, now_s))
        self._transcript = observation.transcript
        if observation.ended and observation.transcript.text:
            self._said.append(observation.transcript.text)

    def event(self, observation: Observation, cost: TickCost) -> EmotionEvent:
        """Put the answer to the observation that was fused last into words, once."""
        now_s, used, fused = observation.now_s, self._used, self._fused
        modalities: dict[ModalityName, Modality] = {}
        for name in MODALITIES:
            evidence = used.get(name)
            if evidence is None or fused is None:
                failed = Reason("stage_failed", self._fusion.reason or "")
                code, reason = observation.missing[name] if evidence is None else failed
                modalities[name] = Modality(state="missing", reason=reason, reason_code=code)
                continue
            note = observation.cautions.get(name, Reason(None, ""))
            if name in observation.failures:
                note = Reason("stage_failed", observation.failures[name])
            modalities[name] = Modality(
                state="used",
                reason=note.sentence or None,
                reason_code=note.code,
                age_ms=max(0, round((now_s - evidence.captured_s) * 1000)),
                weight=round(float(fused.weights[name]), 4),
                probabilities=named(evidence.probabilities),
            )
        newest = max((evidence.captured_s for evidence in used.values()), default=None)
        staleness = None if newest is None else max(0.0, now_s - newest) * 1000 + cost.compute_ms
        event = EmotionEvent(
            schema="mera-edge/event/1",
            at=timestamp(cost.at_s),
            media_time_s=round(now_s, 3) if observation.is_media else None,
            person=used["face"].person if "face" in used else None,
            emotion=Emotion.of(fused.probabilities, fused.valence) if fused else None,
            modalities=modalities,
            transcript=observation.transcript,
            latency=Latency(
                compute_ms=round(cost.compute_ms, 2),
                staleness_ms=None if staleness is None else round(staleness),
                budget_ms=cost.budget_ms,
                late=cost.compute_ms > cost.budget_ms,
                skipped=observation.skipped,
                pressed_by=cost.pressed_by,
                slept_s=cost.slept_s,
            ),
            sources=observation.sources,
            fallbacks=cost.fallbacks,
        )
        event = event.model_copy(update={"moment": self._moments.see(event, now_s)})
        return event.model_copy(update={"why": why(event)})
