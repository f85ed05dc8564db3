"""What one room's sound and pictures say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mera_edge.config import RecognitionSettings
from mera_edge.events import SourceStatus
from mera_edge.evidence import Evidence
from mera_edge.labels import MODALITIES, ModalityName
from mera_edge.pipeline.audio_path import AudioPath
from mera_edge.pipeline.event_builder import Observation
from mera_edge.pipeline.latency_budget import Pressure, TickPlan
from mera_edge.pipeline.stage_runner import Stages, StageTimes
from mera_edge.pipeline.transcription import LEAST_CONFIDENCE
from mera_edge.pipeline.video_path import VideoObservation, VideoPath
from mera_edge.reasons import OFF, Reason
from mera_edge.sources.base import Captured, Source
from mera_edge.sources.switched import Off

_PRESSED: Mapping[Pressure, str] = {
    "slow": "latency budget exhausted",
    "busy": "other processes use the processor",
    "hot": "the board is hot",
}
_HEARD: frozenset[ModalityName] = frozenset({"voice", "text"})


@dataclass(frozen=True)
class SourceAvailability:
    """What the sources can give at all, and at the moment."""

    audio: bool
    video: bool
    is_media: bool = False
    troubles: Mapping[ModalityName, Reason] = field(default_factory=dict)
    """Modalities whose source is not live, and why."""
    sources: dict[str, SourceStatus] | None = None
    """How each camera and microphone is doing, by its id."""

    @classmethod
    def of(cls, sources: Sequence[Source], off: Off = MappingProxyType({})) -> SourceAvailability:
        """Ask the sources. What is ``off`` is missing for that reason, whatever they say."""
        troubles: dict[ModalityName, Reason] = {}
        live: dict[str, SourceStatus] = {}
        for source in sources:
            state, code = source.condition.state, source.condition.code
            reason = source.condition.reason
            if source.is_live:
                live[source.id] = SourceStatus(
                    name=source.name, state=state, reason=reason or None, reason_code=code
                )
            if state != "live":
                sentence = f"{source.name} {state}" + (f": {reason}" if reason else "")
                trouble = Reason(code or "connecting", sentence)
                troubles |= {"face": trouble} if source.has_video else {}
                troubles |= {"voice": trouble, "text": trouble} if source.has_audio else {}
        troubles |= {name: Reason.of(code) for name, code in off.items()}
        return cls(
            audio=any(source.has_audio for source in sources),
            video=any(source.has_video for source in sources),
            is_media=not any(source.is_live for source in sources),
            troubles=troubles,
            sources=live or None,
        )


class Perception:
    """The way of sound and the way of pictures, in the order of their needs.

    Args:
        stages: makes the stages.
        times: what they take.
        recognition: how speech is recognized.
    """

    def __init__(
        self,
        stages: Stages,
        times: StageTimes,
        recognition: RecognitionSettings,
    ) -> None:
        self._audio = AudioPath(stages, recognition)
        self._video = VideoPath(stages, times)
        self._off: set[ModalityName] = set()
        self._pressed_by: Pressure = "slow"

    def reset(self) -> None:
        """Forget everything: the next tick is the first of a new stream."""
        self._audio.reset()
        self._video.reset()

    def warm_up(self) -> list[Evidence]:
        """Run every model once, and return what they made of noise. A reset has to follow."""
        self._video.warm_up()
        return self._audio.warm_up()

    def needs_frame(self, now_s: float, plan: TickPlan) -> bool:
        """Return whether the tick at stream time ``now_s`` has a use for a picture."""
        return self._video.needs_frame(now_s, plan)

    def is_resting(self, now_s: float, plan: TickPlan) -> bool:
        """Return whether nobody is seen or heard at stream time ``now_s``, nor shortly before."""
        resting = self._audio.is_resting(now_s) and self._video.is_resting(now_s)
        return plan.power_saving and resting

    @property
    def is_waiting(self) -> bool:
        """Whether words will be final as soon as another thread is done."""
        return self._audio.is_waiting

    def words_due_s(self, now_s: float, plan: TickPlan) -> float:
        """Return the stream time at which words are expected to become final; infinite if that is
        unknown, or if nobody waits for them."""
        return now_s + self._audio.words_due_in_s if plan.power_saving else math.inf

    def observe(
        self,
        captured: Captured,
        now_s: float,
        available: SourceAvailability,
        plan: TickPlan,
        last: bool,
    ) -> Observation:
        """Take what was captured since the last tick, sound first: it says whether somebody speaks.

        Args:
            captured: sound in order, and the newest picture.
            now_s: stream time.
            available: what the sources can give.
            plan: what there is time for.
            last: whether the stream ends here.
        """
        self._forget(available)
        self._pressed_by = plan.pressed_by or "slow"
        heard = self._audio.process(captured.audio, now_s, plan, last, self._off)
        expected = available.video and "face" not in available.troubles
        seen = VideoObservation()
        if not captured.is_heard_only:
            seen = self._video.see(captured.frame, now_s, plan, self._audio.speaking, expected)
        failures = self._audio.failures()
        if self._video.failure is not None:
            failures["face"] = self._video.failure
        return Observation(
            now_s=now_s,
            evidence=heard.evidence + seen.evidence,
            missing={name: self._reason(name, available, failures) for name in MODALITIES},
            transcript=heard.transcript,
            ended=heard.ended,
            skipped=heard.skipped + seen.skipped,
            is_media=available.is_media,
            sources=available.sources,
            failures=failures,
            cautions=self._cautions(),
        )

    def _cautions(self) -> dict[ModalityName, Reason]:
        found: dict[ModalityName, Reason | None] = {
            "voice": self._audio.caution,
            "face": self._video.caution,
        }
        return {name: reason for name, reason in found.items() if reason is not None}

    def _forget(self, available: SourceAvailability) -> None:
        """Begin anew with what is switched off: nothing of before it counts after it."""
        off = {name for name, reason in available.troubles.items() if reason.code in OFF}
        if off >= _HEARD and not self._off >= _HEARD:
            self._audio.reset()
        if "face" in off - self._off:
            self._video.reset()
        self._off = off

    def _reason(
        self,
        name: ModalityName,
        available: SourceAvailability,
        failures: Mapping[ModalityName, str],
    ) -> Reason:
        if name in available.troubles:
            return available.troubles[name]
        if failed := failures.get(name):
            return Reason("stage_failed", failed)
        if name == "face":
            if not available.video:
                return Reason("no_picture", "no video in this source")
            if self._video.left_out:
                return Reason("no_time", f"skipped: {_PRESSED[self._pressed_by]}")
            if self._video.dark:
                return Reason.of("too_dark")
            return Reason.of("motionless_face" if self._video.motionless else "no_face")
        if not available.audio:
            return Reason("no_sound", "no audio in this source")
        if name == "text" and 0 < self._audio.confidence < LEAST_CONFIDENCE:
            return Reason("uncertain_words", "transcript too uncertain")
        if not self._audio.speaking:
            return Reason("no_speech", "nobody is speaking")
        if name == "text":
            return Reason("no_words", "no words yet")
        return Reason("too_little_speech", "not enough speech yet")
