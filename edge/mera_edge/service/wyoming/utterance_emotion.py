"""What the voice and the words of one utterance say together."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.events import Transcript
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import BINS, FRAME_SHIFT_S, SAMPLE_RATE, LogMel
from mera_edge.labels import ModalityName
from mera_edge.pipeline.audio_path import ONSET_S
from mera_edge.pipeline.event_builder import EventBuilder, Observation, TickCost
from mera_edge.pipeline.stage_runner import Stages, StageTimes
from mera_edge.reasons import Reason, ReasonCode
from mera_edge.stages.text import TextStage
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

_ONSET = round(ONSET_S / FRAME_SHIFT_S)
_MISSING: dict[ModalityName, ReasonCode] = {
    "voice": "no_speech",
    "text": "no_words",
    "face": "no_picture",
}


class UtteranceEmotion:
    """Hears an utterance and says at its end how it was said. Used by one thread at a time.

    What fails is left out: an assistant wants its words in any case.

    Args:
        bundle: the models.
    """

    def __init__(self, bundle: Bundle) -> None:
        stages = Stages(bundle, StageTimes(), isolate=True)
        self._activity = stages.runner("vad", VoiceActivity)
        self._voice = stages.runner("voice", VoiceStage)
        self._text = stages.runner("text", TextStage)
        self._builder = EventBuilder(stages)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sound is the first of an utterance."""
        self._log_mel = LogMel()
        self._activity.call(0.0, lambda activity: activity.reset())
        self._voice.call(0.0, lambda voice: voice.reset())
        self._builder.reset()
        self._before = np.zeros((0, BINS), np.float32)
        self._speaking = False
        self._heard: Evidence | None = None
        self.heard_s = 0.0

    def warm_up(self) -> None:
        """Load and run every model once: the first client shall not wait for that."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        frames = self.accept(noise).frames
        self._voice.call(0.0, lambda voice: voice.accept(frames, 1.0))
        self.conclude("warm up")
        self.reset()

    def accept(self, samples: NDArray[np.float32]) -> AudioBlock:
        """Hear on, and return the sound with its log-mel frames.

        Args:
            samples: ``[n]``, mono, 16 kHz, in [-1, 1].
        """
        self.heard_s += len(samples) / SAMPLE_RATE
        block = AudioBlock(self._log_mel.accept(samples), self.heard_s, samples)
        self._listen(block.frames)
        return block

    def flush(self) -> AudioBlock:
        """End the sound, and return the log-mel frames that were still to come."""
        block = AudioBlock(self._log_mel.flush(), self.heard_s)
        self._listen(block.frames)
        return block

    def _listen(self, frames: NDArray[np.float32]) -> None:
        if not len(frames):
            return
        now_s, was = self.heard_s, self._speaking
        speaking = self._activity.call(now_s, lambda activity: activity.accept(frames))
        self._speaking = bool(speaking)
        if self._speaking:
            heard = frames if was else np.concatenate([self._before, frames])
            evidence = self._voice.call(now_s, lambda voice: voice.accept(heard, now_s))
            self._heard = evidence or self._heard
        self._before = np.concatenate([self._before, frames])[-_ONSET:]

    def conclude(self, text: str, confidence: float = 1.0) -> dict[str, Any] | None:
        """Return emotion, confidence, valence and why; ``None`` where nothing tells.

        Args:
            text: the words of the utterance.
            confidence: of the recognizer in them.
        """
        # An utterance is as old as its voice: silence after it makes it no older.
        now_s = self._heard.captured_s if self._heard else self.heard_s
        read = self._text.call(now_s, lambda stage: stage.accept(text, now_s))
        observation = Observation(
            now_s=now_s,
            evidence=tuple(each for each in (self._heard, read) if each is not None),
            missing={name: Reason.of(code) for name, code in _MISSING.items()},
            transcript=Transcript(text=text, final=True, confidence=confidence),
            ended=True,
            skipped=(),
            is_media=False,
        )
        self._builder.fuse(observation)
        event = self._builder.event(observation, TickCost(time.time(), 0.0, 0))
        if event.emotion is None:
            return None
        return {
            "emotion": event.emotion.label,
            "confidence": round(event.emotion.confidence, 2),
            "valence": round(event.emotion.valence, 2),
            "why": event.why,
        }
