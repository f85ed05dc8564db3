"""What a run amounts to."""

from __future__ import annotations

from collections import deque

import numpy as np

from mera_edge.events import Emotion, EmotionEvent, Summary
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.service.course import Course

_TIMES_KEPT = 10_000
"""Compute times that the percentiles of a summary are over: the newest, in a long run."""


class _MeanAnswer:
    """The mean of answers, weighted by their confidence."""

    def __init__(self) -> None:
        self._probabilities = np.zeros(len(EMOTIONS))
        self._valence = self._confidence = 0.0

    def add(self, answer: Emotion) -> None:
        self._probabilities += answer.confidence * np.array(list(answer.probabilities.values()))
        self._valence += answer.confidence * answer.valence
        self._confidence += answer.confidence

    @property
    def emotion(self) -> Emotion:
        """Known once there is an answer."""
        shares = self._probabilities / self._probabilities.sum()
        return Emotion.of(shares, self._valence / self._confidence)


class SummaryBuilder:
    """Sums over the events of a run. Its size does not grow with the run."""

    def __init__(self) -> None:
        self._events = 0
        self._present = dict.fromkeys(MODALITIES, 0)
        self._answers: dict[str | None, _MeanAnswer] = {}
        """By room; the only one has no name."""
        self._course = Course()
        self._worked_s = 0.0
        self._compute_ms: deque[float] = deque(maxlen=_TIMES_KEPT)
        self._slowest_ms = 0.0

    def add(self, event: EmotionEvent, now_s: float, worked_s: float) -> None:
        """Take an event of stream time ``now_s`` and the time it took, decoding included."""
        self._events += 1
        self._course.add(event, now_s)
        self._worked_s += worked_s
        self._compute_ms.append(event.latency.compute_ms)
        self._slowest_ms = max(self._slowest_ms, event.latency.compute_ms)
        for name, modality in event.modalities.items():
            self._present[name] += modality.state == "used"
        if event.emotion is not None:
            self._answers.setdefault(event.room, _MeanAnswer()).add(event.emotion)

    def summary(self, transcript: str, duration_s: float) -> Summary:
        """Sum up a run that said ``transcript`` in ``duration_s`` of stream time."""
        compute = self._compute_ms or [0.0]
        rooms = {name: answers.emotion for name, answers in self._answers.items() if name}
        only = self._answers.get(None)
        return Summary(
            schema="mera-edge/summary/1",
            emotion=only and only.emotion,
            rooms=rooms or None,
            course=self._course.segments or None,
            transcript=transcript,
            duration_s=round(duration_s, 3),
            events=self._events,
            evidence={
                name: round(self._present[name] / max(1, self._events), 4) for name in MODALITIES
            },
            real_time_factor=round(self._worked_s / duration_s, 4) if duration_s else 0.0,
            compute_ms={
                "p50": round(float(np.percentile(compute, 50)), 2),
                "p95": round(float(np.percentile(compute, 95)), 2),
                "max": round(self._slowest_ms, 2),
            },
        )
