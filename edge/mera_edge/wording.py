"""What an answer is in words: the same in terminal, page and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from mera_edge.events import UNCLEAR, EmotionEvent, Modality, Segment
from mera_edge.labels import MODALITY_NAMES, ModalityName

_MOODS = 4
"""Moods that a headline names one by one."""


def carrier(modalities: Mapping[ModalityName, Modality], label: str) -> ModalityName | None:
    """Return the modality that speaks most for a label, by its weight and its probability."""
    support = {
        name: (modality.weight or 0.0) * modality.probabilities[label]
        for name, modality in modalities.items()
        if modality.probabilities is not None
    }
    return max(support, key=lambda name: support[name], default=None)


def why(event: EmotionEvent) -> str | None:
    """Say in one line what carried an answer: which sense, how sure, how old, who agrees.

    For example ``mostly the face (87% happy, 0.1 s old); voice agrees; words say sad``. It is
    about the moment's label, or the newest answer's while that is `unclear`. ``None`` without an
    answer.
    """
    if event.emotion is None:
        return None
    label = event.emotion.label
    if event.moment is not None and event.moment.label != UNCLEAR:
        label = event.moment.label
    said = {
        name: max(modality.probabilities, key=modality.probabilities.__getitem__)
        for name, modality in event.modalities.items()
        if modality.probabilities is not None
    }
    agreeing = {name: event.modalities[name] for name in said if said[name] == label}
    first = carrier(agreeing, label)
    others = "; ".join(
        _opinion(name, said[name], event.modalities[name], label) for name in said if name != first
    )
    if first is None:
        return f"none alone says {label}: {others}"
    only = "only" if len(said) == 1 else "mostly"
    lead = f"{only} the {MODALITY_NAMES[first]} ({_facts(event.modalities[first], label)})"
    return f"{lead}; {others}" if others else lead


def _opinion(name: ModalityName, said: str, modality: Modality, label: str) -> str:
    who = MODALITY_NAMES[name]
    agrees, says = ("agree", "say") if who.endswith("s") else ("agrees", "says")
    return f"{who} {agrees}" if said == label else f"{who} {says} {said}"


def _facts(modality: Modality, label: str) -> str:
    share = (modality.probabilities or {}).get(label, 0.0)
    age = "" if modality.age_ms is None else f", {modality.age_ms / 1000:.1f} s old"
    return f"{share:.0%} {label}{age}"


def course(segments: Iterable[Segment]) -> str | None:
    """Say the moods of a course in their order: ``happy, then sad``. ``None`` without any.

    `unclear` is left out between others, and so is a mood that goes on after it.
    """
    moods = [label for label, _ in groupby(s.label for s in segments if s.label != UNCLEAR)]
    more = len(moods) - _MOODS
    text = ", then ".join(moods[:_MOODS])
    if more > 0:
        text += f" and {more} more"
    return text or None
