"""One tick: what was captured goes through the stages and comes out as one event."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.recognizer import Recognizer
from mera_edge.bundle import Bundle
from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Evidence,
    Latency,
    Modality,
    Transcript,
    named,
    timestamp,
)
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.labels import MODALITIES, ModalityName
from mera_edge.sources.base import Captured, Picture, Sound
from mera_edge.stages.face import FaceStage
from mera_edge.stages.fusion import FusionStage
from mera_edge.stages.text import TextStage
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

LONGEST_AGE_S: dict[ModalityName, float] = {"voice": 3.0, "face": 1.0, "text": 8.0}
"""How long evidence stays true: a face is seen again at once, words keep their meaning."""

LEAST_CONFIDENCE = 0.5
"""Of the recognizer in its words, below which they are shown but not taken for evidence."""

_REMEMBERED = 1000
"""Utterances kept for the transcript: a run may last for months."""


@dataclass(frozen=True)
class View:
    """What the sources can give at all."""

    sound: bool
    picture: bool


class Pipeline:
    """Voice, words and face of one room, fused.

    Args:
        bundle: the models.
        budget_ms: what a tick may take to compute; a tick that takes longer is marked late.
    """

    def __init__(self, bundle: Bundle, budget_ms: int = 100) -> None:
        self._budget_ms = budget_ms
        self._fallbacks = bundle.fallbacks
        self._log_mel = LogMel()
        self._activity = VoiceActivity()
        self._recognizer = Recognizer(bundle)
        self._voice = VoiceStage(bundle)
        self._text = TextStage(bundle)
        self._face = FaceStage(bundle)
        self._fusion = FusionStage(bundle)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next tick is the first of a new stream."""
        # A reset alone keeps the sound of the next utterance, which here belongs to no stream.
        self._recognizer.flush()
        for stage in (self._log_mel, self._activity, self._recognizer, self._voice, self._face):
            stage.reset()
        self._latest: dict[ModalityName, Evidence] = {}
        self._before: NDArray[np.float32] | None = None
        self._was_speaking = False
        self._heard_s = 0.0
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._partial = ""
        self._transcript = Transcript(text="", final=False, confidence=0.0)

    @property
    def transcript(self) -> str:
        """What was said since the last reset (the newest 1,000 utterances)."""
        current = "" if self._transcript.final else self._transcript.text
        return " ".join([*self._said, current]).strip()

    def warm_up(self) -> None:
        """Run every model once, so that the first real tick is not the slow one."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        picture = Picture(np.full((240, 320, 3), 127, np.uint8), 0.0)
        frames = self._log_mel.accept(noise)
        self._recognizer.accept(frames, 1.0)
        heard = self._voice.accept(frames, 1.0)
        read = self._text.accept("warm up", 1.0)
        self._face.accept(picture)
        self._fusion.fuse([e for e in (heard, read) if e is not None], 1.0)
        self.reset()

    def tick(
        self, captured: Captured, now_s: float, view: View, last: bool = False
    ) -> EmotionEvent:
        """Take what was captured since the last tick and answer.

        Args:
            captured: sound in order, and the newest picture.
            now_s: stream time.
            view: what the sources can give: whether silence is a missing microphone.
            last: the stream ends here; what the recognizer still holds is brought out.
        """
        began = time.perf_counter()
        self._hear(captured.sounds, last)
        if captured.picture is not None:
            self._see(captured.picture)
        used = {
            name: evidence
            for name, evidence in self._latest.items()
            if now_s - evidence.captured_s <= LONGEST_AGE_S[name]
        }
        fused = self._fusion.fuse(list(used.values()), now_s) if used else None
        modalities: dict[ModalityName, Modality] = {}
        for name in MODALITIES:
            evidence = used.get(name)
            if evidence is None or fused is None:
                modalities[name] = Modality(state="missing", reason=self._reason(name, view))
                continue
            modalities[name] = Modality(
                state="used",
                age_ms=max(0, round((now_s - evidence.captured_s) * 1000)),
                weight=round(float(fused.weights[name]), 4),
                probabilities=named(evidence.probabilities),
            )
        compute_ms = (time.perf_counter() - began) * 1000
        newest = max((evidence.captured_s for evidence in used.values()), default=None)
        staleness = None if newest is None else max(0.0, now_s - newest) * 1000 + compute_ms
        return EmotionEvent(
            schema="mera-edge/event/1",
            at=timestamp(time.time()),
            person=used["face"].person if "face" in used else None,
            emotion=Emotion.of(fused.probabilities, fused.valence) if fused else None,
            modalities=modalities,
            transcript=self._transcript,
            latency=Latency(
                compute_ms=round(compute_ms, 2),
                staleness_ms=None if staleness is None else round(staleness),
                budget_ms=self._budget_ms,
                late=compute_ms > self._budget_ms,
            ),
            fallbacks=self._fallbacks or None,
        )

    def _hear(self, sounds: list[Sound], last: bool) -> None:
        for sound in sounds:
            self._activity.accept(sound.samples)
            self._heard_s = sound.at_s + len(sound.samples) / SAMPLE_RATE
            self._listen(self._log_mel.accept(sound.samples))
        if last:
            self._listen(self._log_mel.flush())
            self._recognizer.flush()
        self._read(last)

    def _listen(self, frames: NDArray[np.float32]) -> None:
        self._recognizer.accept(frames, self._heard_s)
        if self._activity.speaking:
            if not self._was_speaking and self._before is not None:
                # The first syllable began before the voice activity was sure of it.
                frames = np.concatenate([self._before, frames])
            evidence = self._voice.accept(frames, self._heard_s)
            if evidence is not None:
                self._latest["voice"] = evidence
        self._before = frames
        self._was_speaking = self._activity.speaking

    def _read(self, last: bool) -> None:
        hypothesis = self._recognizer.hypothesis
        over = last or self._recognizer.is_endpoint()
        if hypothesis.text and (hypothesis.text != self._partial or over):
            self._partial = hypothesis.text
            self._transcript = Transcript(
                text=hypothesis.text, final=over, confidence=round(hypothesis.confidence, 4)
            )
            if hypothesis.confidence >= LEAST_CONFIDENCE:
                evidence = self._text.accept(hypothesis.text, hypothesis.words[-1].end_s)
                if evidence is not None:
                    self._latest["text"] = evidence
        if over and hypothesis.text:
            self._said.append(hypothesis.text)
        if over and not last:
            self._partial = ""
            self._recognizer.reset()
            # The next utterance may be another person's, or in another mood.
            self._voice.reset()

    def _see(self, picture: Picture) -> None:
        faces = self._face.accept(picture)
        if faces:
            self._latest["face"] = faces[0]

    def _reason(self, name: ModalityName, view: View) -> str:
        if name == "face":
            return "no face in view" if view.picture else "no picture in this source"
        if not view.sound:
            return "no sound in this source"
        if name == "text" and 0 < self._transcript.confidence < LEAST_CONFIDENCE:
            return "words too uncertain"
        if not self._activity.speaking:
            return "nobody is speaking"
        return "no words yet" if name == "text" else "not enough speech yet"
