"""Converts events to MQTT messages: a room's state and its changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mera_edge.events import UNCLEAR, EmotionEvent
from mera_edge.labels import EMOTIONS
from mera_edge.reasons import OFF
from mera_edge.sinks.switchboard import SwitchStates

LABELS = (*EMOTIONS, UNCLEAR)
FRESH_S = 5.0
"""A moment that began earlier, for example in an outage, is not published as a change."""
LONGEST_WORDS = 255
"""Maximum length of a state in Home Assistant."""


def state(event: EmotionEvent, switches: SwitchStates | None) -> dict[str, Any]:
    """Return a room's state: moment, evidence, sources, switches and cost."""
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
    """Return the states of the room's camera and microphone, if present.

    ``off`` if switched off on purpose, so that it does not count as a problem.
    """
    prefix = f"{event.room_id}_"
    return {
        id.removeprefix(prefix): "off" if source.reason_code in OFF else source.state
        for id, source in (event.sources or {}).items()
    }


def immediate_fields(state: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the fields of a state whose changes are published immediately."""
    keys = ("emotion", "presence", "sources", "pause", "camera", "microphone")
    return tuple(state.get(key) for key in keys)


def change(before: str | None, event: EmotionEvent) -> dict[str, Any] | None:
    """Return the message for a new moment; ``None`` if none has just begun."""
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
