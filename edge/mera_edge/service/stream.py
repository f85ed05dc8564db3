"""A stream that a program feeds itself, tick by tick: its own sound and frames in, an event out."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import InputError
from mera_edge.events import EmotionEvent, Summary
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.host.load import LoadMonitor
from mera_edge.pipeline.mode import Live, Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import SteppedClock
from mera_edge.service.run_loop import Room, Session
from mera_edge.sinks import Sink
from mera_edge.sinks.callback import Callback
from mera_edge.sources.base import AudioChunk, Captured, VideoFrame
from mera_edge.sources.microphone import AudioResampler
from mera_edge.sources.pushed import PushedSource

_AUDIO = "give `[n]` samples of one channel: float from -1 to 1, or int16"
_FRAME = "give a uint8 array `[H, W, 3]`, blue, green, red, as OpenCV does"


class Stream:
    """The pipeline of one room, fed by `tick`. A context manager; leaving it ends the stream.

    Args:
        bundle: the models; those in the package if not given.
        audio, video: what will be fed.
        sample_rate: of the sound, in hertz.
        budget_ms: latency budget of a tick in milliseconds: stages are skipped to keep to it, and a
            failing stage is restarted later. By default every stage runs, and failures raise.
        recognition: how speech is recognized.
        sinks: each gets every event, and the summary at the end.

    Raises:
        InputError: no such sample rate.
        MeraError: a model cannot be loaded.
    """

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        audio: bool = True,
        video: bool = True,
        sample_rate: int = SAMPLE_RATE,
        budget_ms: int | None = None,
        recognition: RecognitionSettings = RECOGNITION,
        sinks: Sequence[Sink] = (),
    ) -> None:
        if not 2_000 <= sample_rate <= 768_000:
            raise InputError(
                f"a sample rate of {sample_rate} Hz is not supported",
                "give 16000, or the device's rate",
            )
        mode = Offline() if budget_ms is None else Live(LoadMonitor(), budget_ms)
        bundle = Bundle.open() if bundle is None else bundle
        pipeline = Pipeline(bundle, mode, recognition)
        pipeline.warm_up()
        self._resampler = None if sample_rate == SAMPLE_RATE else AudioResampler(sample_rate, 1)
        self._source, self._clock = PushedSource(audio, video), SteppedClock()
        self._events: list[EmotionEvent] = []
        self._sinks, self._never = sinks, threading.Event()
        self._session = Session(self._clock, [*sinks, Callback(self._events.append)])
        self._session.use_rooms([Room(pipeline, [self._source])])
        self._summary: Summary | None = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def tick(
        self,
        now_s: float,
        audio: NDArray[np.float32] | NDArray[np.int16] | None = None,
        frame: NDArray[np.uint8] | None = None,
    ) -> EmotionEvent:
        """Process what was captured since the last tick and return the answer at ``now_s``.

        Five ticks a second are usual.

        Args:
            now_s: stream time in seconds; more than 0, and more than in the last tick.
            audio: ``[n]``, mono, float in [-1, 1] or int16, up to ``now_s``.
            frame: ``[H, W, 3]``, BGR, 0 to 255; the newest one.

        Raises:
            InputError: an array has the wrong shape or type, ``now_s`` does not increase, or the
                stream has ended.
        """
        if self._summary is not None:
            raise InputError("the stream has ended", "make a new Stream")
        if not now_s > self._clock.now():
            raise InputError(f"{now_s} s is not after the last tick", "give the time of this tick")
        self._source.put(self._captured(now_s, audio, frame))
        return self._answer(now_s)

    def close(self) -> Summary:
        """End the stream: finish the last words and return the summary. May be called twice."""
        if self._summary is None:
            self._source.ended = True
            self._answer(self._clock.now())
            self._summary = self._session.summary()
            for sink in self._sinks:
                sink.close(self._summary)
        return self._summary

    def _answer(self, now_s: float) -> EmotionEvent:
        self._clock.set(now_s)
        self._session.tick(self._never)
        return self._events.pop()

    def _captured(
        self,
        now_s: float,
        audio: NDArray[np.float32] | NDArray[np.int16] | None,
        frame: NDArray[np.uint8] | None,
    ) -> Captured:
        captured = Captured()
        if audio is not None:
            if not self._source.has_audio:
                raise InputError("this stream has no sound", "make it with audio=True")
            samples = _samples(audio)
            if self._resampler is not None:
                samples = self._resampler.accept(samples.tobytes())
            began_s = max(0.0, now_s - len(samples) / SAMPLE_RATE)
            captured.audio = [AudioChunk(samples, began_s)] if len(samples) else []
        if frame is not None:
            if not self._source.has_video:
                raise InputError("this stream has no video", "make it with video=True")
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
                raise InputError(f"a frame is {frame.dtype} {list(frame.shape)}", _FRAME)
            captured.frame = VideoFrame(frame, now_s)
        return captured


def _samples(audio: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.float32]:
    """Return ``[n]`` samples in [-1, 1]."""
    if audio.ndim != 1 or not (audio.dtype == np.int16 or np.issubdtype(audio.dtype, np.floating)):
        raise InputError(f"sound is {audio.dtype} {list(audio.shape)}", _AUDIO)
    scale = 1 / 32768 if audio.dtype == np.int16 else 1.0
    samples: NDArray[np.float32] = np.ascontiguousarray(audio, np.float32) * np.float32(scale)
    if not np.isfinite(samples).all():
        raise InputError("sound holds NaN or infinity", _AUDIO)
    return samples
