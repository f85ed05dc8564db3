"""Recorded files: each through the whole pipeline, as fast as the machine goes."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.events import EmotionEvent, Summary
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Observer, Pipeline
from mera_edge.service.clock import Clock, VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sinks import Sink
from mera_edge.sinks.callback import Callback
from mera_edge.sources.choice import Tracks
from mera_edge.sources.media import MediaFile


@dataclass(frozen=True)
class Prediction:
    """The result for one file.

    Attributes:
        events: five per second of the file; empty with ``keep_events=False``.
        summary: of the whole file.
        notices: facts that may affect the result: a chosen track, damage, gaps.
    """

    events: tuple[EmotionEvent, ...]
    summary: Summary
    notices: tuple[str, ...]


class Predictor:
    """Loads the models once and predicts any number of files, one at a time.

    Args:
        bundle: the models; those in the package if not given.
        recognition: how speech is recognized.

    Raises:
        MeraError: a model cannot be loaded.
    """

    def __init__(
        self,
        bundle: Bundle | None = None,
        recognition: RecognitionSettings = RECOGNITION,
    ) -> None:
        self.bundle = Bundle.open() if bundle is None else bundle
        self._pipeline = Pipeline(self.bundle, Offline(), recognition)
        self._pipeline.warm_up()

    def predict(
        self,
        path: str | os.PathLike[str],
        *,
        sinks: Sequence[Sink] = (),
        observers: Sequence[Observer] = (),
        tracks: Tracks | None = None,
        stop: threading.Event | None = None,
        clock: Clock | None = None,
        keep_events: bool = True,
        name: str | None = None,
    ) -> Prediction:
        """Predict one file.

        Args:
            path: anything that FFmpeg reads, with sound, video or both; ``-`` is stdin.
            sinks: each gets every event at once, and the summary at the end.
            observers: each gets the whole result of every tick.
            tracks: which tracks are used, of several.
            stop: ends the run early; the summary then says `interrupted`.
            clock: a `RealClock` plays the file in real time.
            keep_events: whether the result holds the events, some 5 kB each.
            name: what the summary calls the file; its path if not given.

        Raises:
            InputError: the file cannot be used.
        """
        stop = threading.Event() if stop is None else stop
        media = MediaFile(Path(path), tracks=tracks, stop=stop)
        events: list[EmotionEvent] = []
        summary = run(
            self._pipeline,
            [media],
            VirtualClock() if clock is None else clock,
            [*sinks, Callback(events.append)] if keep_events else sinks,
            stop,
            file=str(path) if name is None else name,
            observers=observers,
        )
        return Prediction(tuple(events), summary, tuple(media.notices))


def predict(path: str | os.PathLike[str], bundle: Bundle | None = None) -> Prediction:
    """Predict how the people in one file feel. For several files use a `Predictor`.

    Args:
        path: a video or a recording; anything that FFmpeg reads.
        bundle: the models; those in the package if not given.

    Raises:
        MeraError: the file or a model cannot be used; the message says why and what to do.
    """
    return Predictor(bundle).predict(path)
