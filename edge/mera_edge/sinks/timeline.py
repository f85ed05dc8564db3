"""The timeline of a run of any length, in a bounded number of slots."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mera_edge.events import EmotionEvent, Transcript
from mera_edge.labels import EMOTIONS, MODALITIES, ModalityName

SLOTS = 600
"""Maximum number of slots; beyond that, events share slots."""

UTTERANCES = 500
"""Maximum number of utterances; the newest are kept."""


@dataclass
class TimelineTrack:
    """One modality, or the fused answer, within one slot."""

    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(EMOTIONS)))
    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, probabilities: dict[str, float]) -> None:
        """Add the probabilities of one event, by emotion."""
        self.total += np.array(list(probabilities.values()))
        self.count += 1

    def join(self, later: TimelineTrack) -> None:
        """Add the events of a later slot."""
        self.total += later.total
        self.count += later.count
        self.reasons += later.reasons

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """``[7]``, the mean over the slot; ``None`` if there were none."""
        return self.total / self.count if self.count else None

    @property
    def reason(self) -> str:
        """The most frequent reason for missing probabilities."""
        return self.reasons.most_common(1)[0][0] if self.reasons else ""


@dataclass
class Slot:
    """An interval of time and the answers in it."""

    begins_s: float
    ends_s: float
    fused: TimelineTrack = field(default_factory=TimelineTrack)
    modalities: dict[ModalityName, TimelineTrack] = field(
        default_factory=lambda: {name: TimelineTrack() for name in MODALITIES}
    )
    moments: Counter[str] = field(default_factory=Counter)
    """Number of events per label of the moment."""
    valence: float = 0.0
    """Sum over the fused answers."""

    @property
    def moment(self) -> str | None:
        """The most frequent label of the moment; ``None`` if nobody was seen or heard."""
        return self.moments.most_common(1)[0][0] if self.moments else None

    def join(self, later: Slot) -> None:
        """Merge the following slot into this one."""
        self.ends_s = later.ends_s
        self.fused.join(later.fused)
        self.valence += later.valence
        self.moments += later.moments
        for name, track in self.modalities.items():
            track.join(later.modalities[name])


@dataclass(frozen=True)
class TimelineUtterance:
    """An utterance, and the time of its first words."""

    at_s: float
    transcript: Transcript


class Timeline:
    """Collects events. When it is full, neighbouring slots are merged, so memory is bounded."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.utterances: deque[TimelineUtterance] = deque(maxlen=UTTERANCES)
        self._share = 1
        self._in_last = 0
        self._end_s = 0.0

    @property
    def duration_s(self) -> float:
        """Time of the last event."""
        return self._end_s

    def add(self, event: EmotionEvent, at_s: float) -> None:
        """Add an event published at ``at_s``, in seconds since the start."""
        if not self.slots or self._in_last == self._share:
            self._make_room()
            self.slots.append(Slot(self._end_s, at_s))
            self._in_last = 0
        slot = self.slots[-1]
        slot.ends_s = self._end_s = at_s
        self._in_last += 1
        if event.moment is not None:
            slot.moments[event.moment.label] += 1
        if event.emotion is not None:
            slot.fused.add(event.emotion.probabilities)
            slot.valence += event.emotion.valence
        for name, modality in event.modalities.items():
            if modality.probabilities is not None:
                slot.modalities[name].add(modality.probabilities)
            else:
                slot.modalities[name].reasons[modality.reason or "missing"] += 1
        self._hear(event.transcript, at_s)

    def _make_room(self) -> None:
        if len(self.slots) < SLOTS:
            return
        for first, second in zip(self.slots[::2], self.slots[1::2], strict=True):
            first.join(second)
        self.slots = self.slots[::2]
        self._share *= 2

    def _hear(self, transcript: Transcript, at_s: float) -> None:
        last = self.utterances[-1] if self.utterances else None
        if not transcript.text:
            if transcript.final and last is not None and not last.transcript.final:
                self.utterances.pop()
            return
        if last is None or (last.transcript.final and last.transcript != transcript):
            self.utterances.append(TimelineUtterance(at_s, transcript))
        elif not last.transcript.final:
            self.utterances[-1] = TimelineUtterance(last.at_s, transcript)
