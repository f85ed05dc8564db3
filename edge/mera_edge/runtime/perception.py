"""What one room's sound and pictures say: the stages, in the order of their needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.choose import SpeechRecognizer, choose
from mera_edge.config import RecognitionSettings
from mera_edge.events import Evidence, SourceStatus, Transcript
from mera_edge.features.fbank import BINS, FRAME_SHIFT_S, SAMPLE_RATE, LogMel, log_mel
from mera_edge.labels import MODALITIES, ModalityName
from mera_edge.reasons import Reason
from mera_edge.runtime.budget import Plan
from mera_edge.runtime.conclusion import Observation
from mera_edge.runtime.stage_runner import StageRunner, Stages, StageTimes
from mera_edge.sources.base import Captured, Picture, Source
from mera_edge.stages.face import FaceStage
from mera_edge.stages.face_detector import SEARCH_SIDE
from mera_edge.stages.text import TextStage
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

LEAST_CONFIDENCE = 0.5
"""Of the recognizer in its words, below which they are shown but not taken for evidence."""

REST_AFTER_S, PRE_ROLL_S = 3.0, 0.64
"""Silence after which a frugal recognizer rests, and what it hears of it when it goes on: the first
syllable begins before the voice activity is sure of it."""

ONSET_S = 0.2
"""What the voice encoder hears of the sound before."""

_PRE_ROLL, _ONSET = round(PRE_ROLL_S / FRAME_SHIFT_S), round(ONSET_S / FRAME_SHIFT_S)
_NO_SAMPLES, _NO_FRAMES = np.zeros(0, np.float32), np.zeros((0, BINS), np.float32)


@dataclass(frozen=True)
class View:
    """What the sources can give at all, and at the moment."""

    sound: bool
    picture: bool
    is_media: bool = False
    troubles: Mapping[ModalityName, Reason] = field(default_factory=dict)
    """Modalities whose source is not live, and why."""
    sources: dict[str, SourceStatus] | None = None
    """How each camera and microphone is doing, by its id."""

    @classmethod
    def of(cls, sources: Sequence[Source]) -> View:
        """Ask the sources."""
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
                troubles |= {"face": trouble} if source.has_picture else {}
                troubles |= {"voice": trouble, "text": trouble} if source.has_sound else {}
        return cls(
            sound=any(source.has_sound for source in sources),
            picture=any(source.has_picture for source in sources),
            is_media=not any(source.is_live for source in sources),
            troubles=troubles,
            sources=live or None,
        )


class Perception:
    """Voice, words and face of one room.

    Args:
        stages: makes them.
        times: what they take.
        recognition: how speech is recognized.
    """

    def __init__(self, stages: Stages, times: StageTimes, recognition: RecognitionSettings) -> None:
        self._times = times
        self._log_mel = stages.runner("log-mel", lambda _: LogMel())
        self._activity = stages.runner("vad", VoiceActivity)
        self._recognizer = stages.runner("asr", partial(choose, settings=recognition))
        self._voice = stages.runner("voice", VoiceStage)
        self._text = stages.runner("text", TextStage)
        self._face = stages.runner("face", FaceStage)
        self._now_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next tick is the first of a new stream."""
        self._now_s = 0.0
        streams: tuple[StageRunner[Any], ...]
        streams = self._log_mel, self._activity, self._voice, self._face
        for runner in (*streams, self._recognizer, self._text):
            runner.reset()
        for runner in streams:
            runner.call(self._now_s, lambda stage: stage.reset())
        self._finish_recognizer()
        self._new: dict[ModalityName, Evidence] = {}
        self._skipped: list[str] = []
        self._before = _NO_FRAMES
        self._speaking = self._was_speaking = self._unseen = False
        self._heard_s = self._spoke_s = 0.0
        self._utterance_s = 0.0
        self._unheard: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._partial = ""
        self._transcript = Transcript(text="", final=False, confidence=0.0)

    def warm_up(self) -> list[Evidence]:
        """Run every model once, and return what they made of noise."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        frames = log_mel(noise)
        wall = Picture(np.full((240, 320, 3), 127, np.uint8), 0.0)
        self._activity.call(0.0, lambda activity: activity.accept(frames))
        self._recognizer.call(0.0, lambda recognizer: recognizer.accept(frames, 1.0, noise))
        heard = self._voice.call(0.0, lambda voice: voice.accept(frames, 1.0))
        read = self._text.call(0.0, lambda text: text.accept("warm up", 1.0))
        self._face.call(0.0, lambda face: face.accept(wall))
        self.reset()
        return [evidence for evidence in (heard, read) if evidence is not None]

    def looks(self, now_s: float, plan: Plan) -> bool:
        """Return whether the tick at stream time ``now_s`` has a use for a picture."""
        return plan.face and self._looks(now_s, plan, plan.known_face)

    def observe(
        self, captured: Captured, now_s: float, view: View, plan: Plan, last: bool
    ) -> Observation:
        """Take what was captured since the last tick.

        Sound is always heard to the end, since recognizer and voice encoder are streams; words
        and picture are read as far as the plan has time for them.
        """
        self._new, self._skipped, self._now_s = {}, [], now_s
        self._hear(captured, plan, last)
        ended = self._read(plan, last)
        if self._leaves_out_face(plan):
            if view.picture and "face" not in view.troubles:
                self._skipped.append("face")
                self._unseen = True
        elif captured.picture is not None:
            self._see(captured.picture, plan)
        return Observation(
            now_s=now_s,
            evidence=tuple(self._new.values()),
            missing={name: self._reason(name, view) for name in MODALITIES},
            transcript=self._transcript,
            ended=ended,
            skipped=tuple(self._skipped),
            is_media=view.is_media,
            sources=view.sources,
            failures=self._failures(),
        )

    def _hear(self, captured: Captured, plan: Plan, last: bool) -> None:
        for sound in captured.sounds:
            frames = self._frames(sound.samples)
            self._speaking = self._is_speech(frames)
            self._heard_s = sound.at_s + len(sound.samples) / SAMPLE_RATE
            if self._speaking or self._activity.reason is not None:
                self._spoke_s = self._heard_s
            silent_s = self._heard_s - self._spoke_s
            if plan.frugal and silent_s >= REST_AFTER_S and not self._partial:
                self._rest(frames, sound.samples)
            else:
                self._wake(sound.at_s)
                self._listen(frames, sound.samples)
        if last:
            if self._unheard is None:
                rest = self._log_mel.call(self._now_s, lambda log_mel: log_mel.flush())
                self._listen(rest, _NO_SAMPLES)
            self._recognizer.call(self._now_s, lambda recognizer: recognizer.flush())

    def _frames(self, samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
        return self._log_mel.call(self._now_s, lambda log_mel: log_mel.accept(samples))

    def _is_speech(self, frames: NDArray[np.float32] | None) -> bool:
        """Without voice activity detection nothing is known to be speech; words still are heard."""
        if frames is None:
            return False
        return bool(self._activity.call(self._now_s, lambda activity: activity.accept(frames)))

    def _rest(self, frames: NDArray[np.float32] | None, samples: NDArray[np.float32]) -> None:
        """Only keep the newest of the silence."""
        if self._unheard is None:
            # What waits in the recognizer is silence, and would not be next to what follows.
            self._finish_recognizer()
            self._unheard = _NO_FRAMES, _NO_SAMPLES
        kept, heard = self._unheard
        kept = _NO_FRAMES if frames is None else np.concatenate([kept, frames])[-_PRE_ROLL:]
        heard = np.concatenate([heard, samples])[-round(PRE_ROLL_S * SAMPLE_RATE) :]
        self._unheard = kept, heard

    def _wake(self, now_s: float) -> None:
        """Make up for the newest of the silence, which lasted until stream time ``now_s``."""
        if self._unheard is not None:
            (frames, samples), self._unheard = self._unheard, None
            self._recognize(frames, samples, now_s)
            self._before, self._was_speaking = frames[-_ONSET:], False

    def _listen(self, frames: NDArray[np.float32] | None, samples: NDArray[np.float32]) -> None:
        self._recognize(frames, samples, self._heard_s)
        if frames is None:
            return
        if self._speaking:
            heard = frames
            if not self._was_speaking:
                # The first syllable began before the voice activity was sure of it.
                heard = np.concatenate([self._before, frames])
            self._add(
                self._voice.call(self._now_s, lambda voice: voice.accept(heard, self._heard_s))
            )
        self._before = frames
        self._was_speaking = self._speaking

    def _recognize(
        self, frames: NDArray[np.float32] | None, samples: NDArray[np.float32], end_s: float
    ) -> None:
        if frames is not None:
            self._recognizer.call(
                self._now_s, lambda recognizer: recognizer.accept(frames, end_s, samples)
            )

    def _finish_recognizer(self) -> None:
        """End its stream: a reset alone keeps the sound of the next utterance."""

        def finish(recognizer: SpeechRecognizer) -> None:
            recognizer.flush()
            recognizer.reset()

        self._recognizer.call(self._now_s, finish)

    def _read(self, plan: Plan, last: bool) -> bool:
        """Take the words; return whether an utterance ended."""
        if self._unheard is not None and not last:
            return False
        found = self._recognizer.call(
            self._now_s, lambda recognizer: (recognizer.hypothesis, recognizer.is_endpoint())
        )
        if found is None:
            return self._give_up_words()
        hypothesis, over = found[0], last or found[1]
        # What is found in music or noise is no words.
        spoken = bool(hypothesis.text) and self._spoke_s > self._utterance_s
        if spoken and (hypothesis.text != self._partial or over):
            self._partial = hypothesis.text
            self._transcript = Transcript(
                text=hypothesis.text, final=over, confidence=round(hypothesis.confidence, 4)
            )
            if hypothesis.confidence >= LEAST_CONFIDENCE:
                if over or plan.partial_text:
                    self._add(
                        self._text.call(
                            self._now_s,
                            lambda text: text.accept(hypothesis.text, hypothesis.words[-1].end_s),
                        )
                    )
                else:
                    self._skipped.append("text")
        if over and not last:
            self._partial, self._utterance_s = "", self._heard_s
            self._recognizer.call(self._now_s, lambda recognizer: recognizer.reset())
            # The next utterance may be another person's, or in another mood.
            self._voice.call(self._now_s, lambda voice: voice.reset())
        return over and spoken

    def _give_up_words(self) -> bool:
        """End an utterance that the recognizer lost with what was understood of it so far."""
        ended = bool(self._partial)
        if ended:
            self._transcript = self._transcript.model_copy(update={"final": True})
            self._partial = ""
        return ended

    def _leaves_out_face(self, plan: Plan) -> bool:
        if not plan.face or self._times.total_ms > plan.face_before_ms:
            return True
        if plan.known_face:
            return False
        return self._looks(self._now_s, plan, known=True) and not self._looks(
            self._now_s, plan, known=False
        )

    def _looks(self, now_s: float, plan: Plan, known: bool) -> bool:
        # A glance is no look: it has a time of its own.
        return bool(
            self._face.call(now_s, lambda face: face.looks(now_s, plan.search, known), "looks")
        )

    def _see(self, picture: Picture, plan: Plan) -> None:
        self._unseen = False
        if plan.search.side < SEARCH_SIDE:
            self._skipped.append("small faces")
        faces = self._face.call(
            self._now_s, lambda face: face.accept(picture, plan.search, self._speaking)
        )
        if faces:
            self._add(faces[0])

    def _add(self, evidence: Evidence | None) -> None:
        if evidence is not None:
            self._new[evidence.modality] = evidence

    def _reason(self, name: ModalityName, view: View) -> Reason:
        if name in view.troubles:
            return view.troubles[name]
        if failed := self._failures().get(name):
            return Reason("stage_failed", failed)
        if name == "face":
            if not view.picture:
                return Reason("no_picture", "no picture in this source")
            if self._unseen:
                return Reason("no_time", "left out: no time in the budget")
            return Reason("no_face", "no face in view")
        if not view.sound:
            return Reason("no_sound", "no sound in this source")
        if name == "text" and 0 < self._transcript.confidence < LEAST_CONFIDENCE:
            return Reason("uncertain_words", "words too uncertain")
        if not self._speaking:
            return Reason("no_speech", "nobody is speaking")
        if name == "text":
            return Reason("no_words", "no words yet")
        return Reason("too_little_speech", "not enough speech yet")

    def _failures(self) -> dict[ModalityName, str]:
        deaf = self._log_mel.reason
        reasons: dict[ModalityName, str | None] = {
            "voice": deaf or self._activity.reason or self._voice.reason,
            "face": self._face.reason,
            "text": deaf or self._recognizer.reason or self._text.reason,
        }
        return {name: reason for name, reason in reasons.items() if reason is not None}
