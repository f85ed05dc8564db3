"""What of an event is published: a room's state, its changes, its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mera_edge.events import UNCLEAR, EmotionEvent
from mera_edge.labels import EMOTIONS
from mera_edge.reasons import OFF
from mera_edge.sinks.switchboard import SwitchStates

LABELS = (*EMOTIONS, UNCLEAR)
FRESH_S = 5.0
"""A moment that began earlier is no news: after an outage it is only the state."""
LONGEST_WORDS = 255
"""Characters that a state of Home Assistant may have."""


def state(event: EmotionEvent, switches: SwitchStates | None) -> dict[str, Any]:
    """Return a room's state: the moment, what it rests on, how the sources are, what it cost."""
    moment, emotion = event.moment, event.emotion
    return {
        "at": event.at,
        "emotion": moment and moment.label,
        "confidence": moment and round(100 * moment.confidence),
        "since": moment and moment.since,
        "changed_by": moment and moment.changed_by,
        "why": event.why,
        "valence": emotion and round(emotion.valence, 2),
        "presence": _on(moment is not None),
        "modalities": {
            name: modality.state if modality.state == "used" else modality.reason_code
            for name, modality in event.modalities.items()
        },
        "sources": sources(event),
        "staleness_ms": event.latency.staleness_ms,
        "compute_ms": round(event.latency.compute_ms),
        **({} if switches is None else _switched(switches)),
    }


def sources(event: EmotionEvent) -> dict[str, str]:
    """Return the states of the room's camera and microphone, as far as it has them.

    What somebody switched off has no fault.
    """
    prefix = f"{event.room_id}_"
    return {
        id.removeprefix(prefix): "off" if source.reason_code in OFF else source.state
        for id, source in (event.sources or {}).items()
    }


def immediate_fields(state: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of a state is told at once when it changes."""
    keys = ("emotion", "presence", "sources", "pause", "camera", "microphone")
    return tuple(state.get(key) for key in keys)


def change(before: str | None, event: EmotionEvent) -> dict[str, Any] | None:
    """Return what is told of a moment that has just begun, if one has."""
    moment = event.moment
    if moment is None or moment.label == before or moment.lasts_s > FRESH_S:
        return None
    return {
        "event_type": moment.label,
        "before": before,
        "confidence": round(100 * moment.confidence),
        "changed_by": moment.changed_by,
        "why": event.why,
        "at": event.at,
    }


def _switched(switches: SwitchStates) -> dict[str, str]:
    return {
        "pause": _on(switches.paused),
        "camera": _on(switches.camera),
        "microphone": _on(switches.microphone),
    }


def _on(value: bool) -> str:
    return "ON" if value else "OFF"
