"""What the sound of a room says: whether somebody speaks, how it sounds, and the words."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from mera_edge.config import RecognitionSettings
from mera_edge.events import Transcript
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import BINS, FRAME_SHIFT_S, SAMPLE_RATE, LogMel, log_mel
from mera_edge.labels import ModalityName
from mera_edge.pipeline.latency_budget import TickPlan
from mera_edge.pipeline.loudness import Loudness
from mera_edge.pipeline.stage_runner import Stages
from mera_edge.pipeline.transcription import Transcriber, Words
from mera_edge.reasons import Reason
from mera_edge.sources.base import AudioChunk
from mera_edge.stages.vad import HANGOVER_S, speech_detector
from mera_edge.stages.voice import voice_encoder

REST_AFTER_S, PRE_ROLL_S = 3.0, 0.64
"""Silence after which the recognizer rests to save power, and what it hears of it when it goes on:
the first syllable begins before the voice activity is sure of it."""

ONSET_S = 0.2
"""What the voice encoder hears of the sound before."""

_PRE_ROLL, _ONSET = round(PRE_ROLL_S / FRAME_SHIFT_S), round(ONSET_S / FRAME_SHIFT_S)
_SAMPLES_A_FRAME = round(FRAME_SHIFT_S * SAMPLE_RATE)
_NO_FRAMES = np.zeros((0, BINS), np.float32)
_NOTHING = AudioBlock(_NO_FRAMES, 0.0)


@dataclass(frozen=True, slots=True)
class AudioObservation:
    """What the sound of one tick said."""

    evidence: tuple[Evidence, ...]
    transcript: Transcript
    ended: bool
    """Whether the transcript is a whole utterance, known to its end in this tick."""
    skipped: tuple[str, ...]


class AudioPath:
    """Log-mel front end, voice activity, recognizer, voice and text encoder of one room.

    Args:
        stages: makes them.
        recognition: how speech is recognized.

    Attributes:
        speaking: whether somebody speaks. While voice activity detection fails it is not known
            whether what is heard is speech: words still are recognized, the voice is left out.
    """

    def __init__(self, stages: Stages, recognition: RecognitionSettings) -> None:
        self._log_mel = stages.runner("log-mel", lambda _: LogMel())
        self._activity = stages.runner("vad", speech_detector)
        self._transcription = Transcriber(stages, recognition)
        self._loudness = Loudness()
        self._voice = stages.runner("voice", voice_encoder)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sound is the first of a new stream."""
        for runner in (self._log_mel, self._activity, self._voice):
            runner.reset()
        self._log_mel.call(0.0, lambda log_mel: log_mel.reset())
        self._activity.call(0.0, lambda activity: activity.reset())
        self._voice.call(0.0, lambda voice: voice.reset())
        self._transcription.reset()
        self._loudness.reset()
        self.speaking = self._was_speaking = False
        self._pause_s = 0.0
        self._off: Set[ModalityName] = frozenset()
        self._before = _NOTHING
        self._new_voice: Evidence | None = None
        self._heard_s = self._spoke_s = self._utterance_s = 0.0
        self._kept: AudioBlock | None = None
        """The newest of the sound that was not listened to, while that is so."""

    def warm_up(self) -> list[Evidence]:
        """Run every model once, and return what they made of noise."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        block = AudioBlock(log_mel(noise), 1.0, noise)
        self._activity.call(0.0, lambda activity: activity.accept_block(block))
        heard = self._voice.call(0.0, lambda voice: voice.accept_block(block))
        read = self._transcription.warm_up(block)
        return [evidence for evidence in (heard, read) if evidence is not None]

    def process(
        self,
        sounds: Sequence[AudioChunk],
        now_s: float,
        plan: TickPlan,
        last: bool,
        off: Set[ModalityName] = frozenset(),
    ) -> AudioObservation:
        """Take the sound since the last tick, always to the end: recognizer and voice are streams.

        Args:
            sounds: in order.
            now_s: stream time.
            plan: what there is time for.
            last: whether the stream ends here.
            off: what of voice and text is not wanted: its model does not run.
        """
        self._off = off
        self._new_voice, self._pause_s = None, 0.0
        for sound in sounds:
            self._take(sound, now_s, plan)
        if last and self._kept is None:
            frames = self._log_mel.call(now_s, lambda log_mel: log_mel.flush())
            if frames is not None:
                self._listen(AudioBlock(frames, self._heard_s), now_s)
        if self._log_mel.reason is not None:
            words = self._transcription.give_up(now_s)
        elif "text" in off or (self._kept is not None and not last):
            words = Words()
        else:
            # What is found in music or noise is no words.
            spoken = self._spoke_s > self._utterance_s
            words = self._transcription.read(now_s, plan, spoken, last)
        if words.cut:
            self._utterance_s = self._heard_s
            # The next utterance may be another person's, or in another mood.
            self._voice.call(now_s, lambda voice: voice.reset())
            self._loudness.reset()
        return AudioObservation(
            evidence=tuple(e for e in (self._new_voice, words.evidence) if e is not None),
            transcript=self._transcription.transcript,
            ended=words.ended,
            skipped=("text",) if words.skipped else (),
        )

    def is_resting(self, now_s: float) -> bool:
        """Return whether the recognizer rests in silence, or no sound has come for as long."""
        return self._kept is not None or now_s - self._heard_s >= REST_AFTER_S

    @property
    def words_due_in_s(self) -> float:
        """Seconds after the newest tick until words are expected to become final, if the pause goes
        on; at once if something `is_waiting`. Infinite if that is unknown."""
        if "text" in self._off:
            return math.inf
        if self.is_waiting:
            return 0.0
        if self.speaking and self._pause_s > 0:
            # The detector hears a frame only after its end.
            return HANGOVER_S - self._pause_s + FRAME_SHIFT_S
        return math.inf

    @property
    def is_waiting(self) -> bool:
        """Whether words will be final as soon as another thread is done."""
        return self._transcription.is_waiting

    @property
    def confidence(self) -> float:
        """The recognizer's, in the newest words."""
        return self._transcription.transcript.confidence

    @property
    def caution(self) -> Reason | None:
        """Why the voice deserves less trust, if it does."""
        return self._loudness.caution

    def failures(self) -> dict[ModalityName, str]:
        """Return what of it a failing stage keeps silent, and why."""
        deaf = self._log_mel.reason
        reasons: dict[ModalityName, str | None] = {
            "voice": deaf or self._activity.reason or self._voice.reason,
            "text": deaf or self._transcription.failure,
        }
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _take(self, sound: AudioChunk, now_s: float, plan: TickPlan) -> None:
        self._heard_s = sound.at_s + len(sound.samples) / SAMPLE_RATE
        frames = self._log_mel.call(now_s, lambda log_mel: log_mel.accept(sound.samples))
        if frames is None:
            self.speaking = False
            self._kept = AudioBlock(_NO_FRAMES, self._heard_s)
            return
        block = AudioBlock(frames, self._heard_s, sound.samples)
        found = self._activity.call(
            now_s, lambda activity: (activity.accept_block(block), activity.pause_s)
        )
        self.speaking, self._pause_s = found or (False, 0.0)
        if self.speaking:
            self._loudness.accept(sound.samples)
        known = self._activity.reason is None
        if self.speaking or not known:
            self._spoke_s = self._heard_s
        block = replace(block, speaking=self.speaking if known else None, pause_s=self._pause_s)
        silent_s = self._heard_s - self._spoke_s
        if plan.power_saving and silent_s >= REST_AFTER_S and self._transcription.is_idle:
            self._rest(block, now_s)
        else:
            self._wake(now_s)
            self._listen(block, now_s)

    def _rest(self, block: AudioBlock, now_s: float) -> None:
        """Only keep the newest of the silence."""
        if self._kept is None:
            # What waits in the recognizer is silence, and would not be next to what follows.
            self._transcription.give_up(now_s)
            self._kept = AudioBlock(_NO_FRAMES, block.end_s)
        frames = np.concatenate([self._kept.frames, block.frames])[-_PRE_ROLL:]
        samples = np.concatenate([self._kept.samples, block.samples])
        samples = samples[-_PRE_ROLL * _SAMPLES_A_FRAME :]
        self._kept = AudioBlock(frames, block.end_s, samples, block.speaking)

    def _wake(self, now_s: float) -> None:
        """Make up for the newest of the sound that was not listened to."""
        if self._kept is not None:
            block, self._kept = self._kept, None
            self._transcribe(block, now_s)
            self._before, self._was_speaking = _end_of(block), False

    def _listen(self, block: AudioBlock, now_s: float) -> None:
        self._transcribe(block, now_s)
        if self.speaking and "voice" not in self._off:
            # The first syllable began before the voice activity was sure of it.
            whole = block if self._was_speaking else _joined(self._before, block)
            heard = self._voice.call(now_s, lambda voice: voice.accept_block(whole))
            self._new_voice = heard or self._new_voice
        self._before, self._was_speaking = block, self.speaking

    def _transcribe(self, block: AudioBlock, now_s: float) -> None:
        if "text" not in self._off:
            self._transcription.accept(block, now_s)


def _joined(before: AudioBlock, block: AudioBlock) -> AudioBlock:
    frames = np.concatenate([before.frames, block.frames])
    return replace(block, frames=frames, samples=np.concatenate([before.samples, block.samples]))


def _end_of(block: AudioBlock) -> AudioBlock:
    samples = block.samples[-_ONSET * _SAMPLES_A_FRAME :]
    return replace(block, frames=block.frames[-_ONSET:], samples=samples)
