"""Answers in words, for terminal, pages and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from mera_edge.events import UNCLEAR, EmotionEvent, Modality, Segment
from mera_edge.labels import MODALITY_NAMES, ModalityName

_MOODS = 4
"""Maximum number of moods that a headline lists."""


def carrier(modalities: Mapping[ModalityName, Modality], label: str) -> ModalityName | None:
    """Return the modality that supports a label most, by weight times probability."""
    support = {
        name: (modality.weight or 0.0) * modality.probabilities[label]
        for name, modality in modalities.items()
        if modality.probabilities is not None
    }
    return max(support, key=lambda name: support[name], default=None)


def why(event: EmotionEvent) -> str | None:
    """Explain an answer in one line: the main modality, its confidence and age, and the others.

    For example ``mostly the face (87% happy, 0.1 s old); voice agrees; words say sad``. It refers
    to the label of the moment, or of the answer while the moment is `unclear`. ``None`` without an
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
    """List the moods of a course in order: ``happy, then sad``. ``None`` without any.

    `unclear` is omitted, and the same mood before and after it is listed once.
    """
    moods = [label for label, _ in groupby(s.label for s in segments if s.label != UNCLEAR)]
    more = len(moods) - _MOODS
    text = ", then ".join(moods[:_MOODS])
    if more > 0:
        text += f" and {more} more"
    return text or None
