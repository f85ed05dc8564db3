"""From answers that flicker to a state that holds: which emotion, since when, how sure.

Evidence for every emotion is the sum over time of its log odds against `LEVEL`, a sequential test.
An emotion is shown when its evidence is `FULL`, and no more when it is used up. So a clear change
is found within three seconds, one that is hardly clear takes long, and what goes to and fro comes
to nothing: the state is `unclear`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mera_edge.events import UNCLEAR, Emotion, EmotionEvent, Moment
from mera_edge.labels import EMOTIONS, ModalityName
from mera_edge.wording import carrier

LEVEL = 0.3
"""Probability below which an answer speaks against its emotion: one that stays below is never
shown. Of several levels one at which talk has a state most of the time and changes it least
(docs/results/verdict.md)."""
CLEAR, CONTRARY = 0.7, 0.1
"""An answer counts as no surer than that, and as no surer of the opposite: one that keeps what it
promises is seldom surer."""
LONGEST_STEP_S = 1.0
"""What one answer counts for at most, however long no other came: none makes a change alone."""
HOLD_S = 2.0
"""The least time a state lasts."""
CONTRADICTED = 0.5
"""What an answer counts for whose modalities contradict each other, and then it says nothing: a
smile over a sad word is no reason to give a state up at once, after some seven seconds it is."""
OUTVOTED = 0.5
"""What an answer counts for its emotion that the words or the voice give alone against others: a
sentence that is read out loud in a calm voice makes no mood, unless it goes on for some six
seconds. A sentence is read again with each new word, and a voice is the whole utterance's; a face
is looked at anew every time, so it counts in full."""
GONE_AFTER_S = 10.0
"""A person, or a room, of whom nothing is known for so long is gone. People pause for seconds, and
words count for eight."""
MEMORY_S = 2.5
"""Time constant of the mean that is the confidence."""
SURE = 0.7
"""Probability from which a modality can contradict another."""
_NOTHING = np.full(len(EMOTIONS), 1 / len(EMOTIONS))


def _log_odds(shares: NDArray[np.float64] | float) -> NDArray[np.float64]:
    shares = np.clip(shares, CONTRARY, CLEAR)
    return np.asarray(np.log(shares / (1 - shares)))


_FOR, _AGAINST = (abs(float(_log_odds(sure) - _log_odds(LEVEL))) for sure in (CLEAR, CONTRARY))
FADE = 0.4 * _FOR / _AGAINST
"""Factor of what speaks against: a clear answer counts 0.4 of one for an emotion. A clear change
uses up its evidence only after another one's is full, and does not go by `unclear`."""
FULL = 2.7 * _FOR
"""Evidence with which an emotion is shown: that of 2.7 s of clear answers, a tick less than the
three seconds in which a true change is to be seen."""


@dataclass
class _State:
    """What is known of one person."""

    since: str
    since_s: float
    seen_s: float
    """Stream time of the newest answer."""
    label: str = UNCLEAR
    changed_by: ModalityName | None = None
    mean: NDArray[np.float64] = field(default_factory=lambda: _NOTHING.copy())
    evidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(EMOTIONS)))

    def add(self, answer: NDArray[np.float64], step_s: float, support: float = 1.0) -> None:
        """Take the ``[7]`` probabilities of an answer, which counts for a time.

        Args:
            answer: the probabilities.
            step_s: the time.
            support: how much of it counts for an emotion; against one it counts in full.
        """
        self.mean += -math.expm1(-step_s / MEMORY_S) * (answer - self.mean)
        gain = step_s * (_log_odds(answer) - _log_odds(LEVEL))
        self.evidence = np.clip(
            self.evidence + np.where(gain < 0, FADE * gain, support * gain), 0, FULL
        )

    @property
    def wanted(self) -> str:
        """The label to be shown."""
        if self.label != UNCLEAR:
            own = self.evidence[EMOTIONS.index(self.label)]
            if own == FULL or (own > 0 and self.evidence.max() < FULL):
                return self.label
        best = int(self.evidence.argmax())
        return EMOTIONS[best] if self.evidence[best] == FULL else UNCLEAR

    @property
    def confidence(self) -> float:
        """Mean probability of the label of late; of the likeliest emotion while it is unclear."""
        unclear = self.label == UNCLEAR
        return float(self.mean.max() if unclear else self.mean[EMOTIONS.index(self.label)])


class Moments:
    """The states of the people in one room, and of the room itself where nobody is seen.

    A voice without a face is, for a while, that of the person who was in view last. The same events
    give the same moments.
    """

    def __init__(self) -> None:
        self._states: dict[int | None, _State] = {}
        self._person: int | None = None
        self._in_view_s = -math.inf

    def see(self, event: EmotionEvent, now_s: float) -> Moment | None:
        """Take the next event, of stream time ``now_s``, and return the moment that it belongs to.

        ``None`` while nobody is there.
        """
        if event.person is not None:
            self._person, self._in_view_s = event.person, now_s
        elif now_s - self._in_view_s > GONE_AFTER_S:
            self._person = None
        states = self._states.items()
        self._states = {who: each for who, each in states if now_s - each.seen_s <= GONE_AFTER_S}
        state = self._states.get(self._person)
        if event.emotion is not None:
            if state is None:
                state = self._states[self._person] = _State(event.at, now_s, now_s)
            _update(state, event, event.emotion, now_s)
        if state is None:
            return None
        return Moment(
            label=state.label,
            confidence=round(state.confidence, 4),
            since=state.since if event.media_time_s is None else None,
            lasts_s=round(now_s - state.since_s, 3),
            changed_by=state.changed_by,
        )


def _update(state: _State, event: EmotionEvent, answer: Emotion, now_s: float) -> None:
    step_s, state.seen_s = min(now_s - state.seen_s, LONGEST_STEP_S), now_s
    if _contradicts_itself(event):
        state.add(_NOTHING, CONTRADICTED * step_s)
    else:
        support = OUTVOTED if _is_outvoted(event, answer.label) else 1.0
        state.add(np.array(list(answer.probabilities.values())), step_s, support)
    label = state.wanted
    if label != state.label and now_s - state.since_s >= HOLD_S:
        said = answer.label if label == UNCLEAR else label
        state.changed_by = carrier(event.modalities, said)
        state.label, state.since, state.since_s = label, event.at, now_s


def _contradicts_itself(event: EmotionEvent) -> bool:
    """Whether modalities are sure of different emotions, of which none is what most of them say.

    Neutral contradicts nothing: plain words are said with a smile.
    """
    said = _first_choices(event).values()
    votes = Counter(best for best, _ in said)
    claimed = {best for best, share in said if best != "neutral" and share >= SURE}
    first, second, *_ = [*sorted((votes[label] for label in claimed), reverse=True), 0, 0]
    return 0 < first == second


def _is_outvoted(event: EmotionEvent, label: str) -> bool:
    """Whether of several modalities at most one says ``label``, and that is not the face."""
    said = {name: best for name, (best, _) in _first_choices(event).items()}
    agreeing = [name for name, best in said.items() if best == label]
    return len(said) > 1 and len(agreeing) <= 1 and agreeing != ["face"]


def _first_choices(event: EmotionEvent) -> dict[ModalityName, tuple[str, float]]:
    """Return the likeliest emotion of each modality and its share."""
    return {
        name: max(modality.probabilities.items(), key=lambda item: item[1])
        for name, modality in event.modalities.items()
        if modality.probabilities is not None
    }
