"""Home Assistant's device-based MQTT discovery (2024.11 and later): this machine and its rooms."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mera_edge import __version__
from mera_edge.labels import MODALITIES, MODALITY_NAMES
from mera_edge.sinks.mqtt.address import Address
from mera_edge.sinks.mqtt.broker import OFFLINE, ONLINE
from mera_edge.sinks.mqtt.state import LABELS

EXPIRES_S = 30
"""States expire after this time without an update, since the process may hang."""

SWITCHES = ("pause", "camera", "microphone")


def machine_device(address: Address, bundle: str | None) -> tuple[str, dict[str, Any]]:
    """Return topic, below the discovery prefix, and payload of the machine itself."""
    id = f"mera_edge_{address.node}"
    return f"device/{id}/config", {
        "device": {
            "identifiers": [id],
            "name": f"mera-edge {address.node}",
            "manufacturer": "mera-edge",
            "model": bundle or "mera-edge",
            "sw_version": __version__,
        },
        "origin": _origin(),
        "components": {
            "running": {
                "platform": "binary_sensor",
                "unique_id": f"{id}_running",
                "default_entity_id": _entity("binary_sensor", f"{address.node}_running"),
                "name": "Running",
                "device_class": "running",
                "entity_category": "diagnostic",
                "state_topic": f"{address.base}/status",
                "payload_on": ONLINE,
                "payload_off": OFFLINE,
            }
        },
    }


def room_device(
    address: Address,
    id: str,
    name: str | None,
    sources: Collection[str],
    switches: bool,
    words: bool,
) -> tuple[str, dict[str, Any]]:
    """Return topic, below the discovery prefix, and payload of a room.

    Args:
        address: of the broker.
        id: of the room, in topics.
        name: display name of the room; ``None`` for a single one.
        sources: those of ``camera`` and ``microphone`` that it has.
        switches: whether the room can be switched.
        words: whether words are published.
    """
    unique = f"mera_edge_{address.node}_{id}"
    base = f"{address.base}/{id}"
    components = _answer(base) | _health(sources)
    if switches:
        components |= _switches(base, sources)
    if words:
        components["words"] = {
            "platform": "sensor",
            "name": "Last sentence",
            "icon": "mdi:comment-text-outline",
            "state_topic": f"{base}/words",
        }
    for key, component in components.items():
        platform = component["platform"]
        component["unique_id"] = f"{unique}_{key}"
        component["default_entity_id"] = _entity(platform, f"{id}_{key}")
    device = {
        "identifiers": [unique],
        "name": name or f"mera-edge {address.node}",
        "manufacturer": "mera-edge",
        "sw_version": __version__,
        "via_device": f"mera_edge_{address.node}",
    }
    if name:
        device["suggested_area"] = name
    return f"device/{unique}/config", {
        "device": device,
        "origin": _origin(),
        "availability": [{"topic": f"{address.base}/status"}],
        "state_topic": f"{base}/state",
        "qos": 0,
        "components": components,
    }


def _entity(platform: str, name: str) -> str:
    return f"{platform}.mera_edge_{name}".lower().replace("-", "_")


def _origin() -> dict[str, Any]:
    return {"name": "mera-edge", "sw_version": __version__}


def _answer(base: str) -> dict[str, dict[str, Any]]:
    since = "{{ {'since': value_json.since, 'changed_by': value_json.changed_by} | tojson }}"
    return {
        "emotion": {
            "platform": "sensor",
            "name": "Emotion",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": list(LABELS),
            "value_template": "{{ value_json.emotion }}",
            "json_attributes_topic": f"{base}/state",
            "json_attributes_template": since,
            "expire_after": EXPIRES_S,
        },
        "valence": _number("Valence", "valence", "mdi:plus-minus-variant")
        | {"suggested_display_precision": 2},
        "confidence": _number("Confidence", "confidence", "mdi:percent")
        | {"unit_of_measurement": "%"},
        "presence": {
            "platform": "binary_sensor",
            "name": "Presence",
            "device_class": "occupancy",
            "value_template": "{{ value_json.presence }}",
            "expire_after": EXPIRES_S,
        },
        "changed": {
            "platform": "event",
            "name": "Change",
            "icon": "mdi:emoticon-outline",
            "state_topic": f"{base}/event",
            "event_types": list(LABELS),
        },
    }


def _health(sources: Collection[str]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {
        "age": _number("Age of the answer", "staleness_ms", "mdi:timer-outline") | _MILLISECONDS,
        "compute": _number("Time to compute", "compute_ms", "mdi:chip") | _MILLISECONDS,
    }
    for name in MODALITIES:
        parts[name] = {
            "platform": "sensor",
            "name": MODALITY_NAMES[name].capitalize(),
            "value_template": f"{{{{ value_json.modalities.{name} }}}}",
            "entity_category": "diagnostic",
            "expire_after": EXPIRES_S,
        }
    for source in sources:
        parts[f"{source}_problem"] = {
            "platform": "binary_sensor",
            "name": source.capitalize(),
            "device_class": "problem",
            "entity_category": "diagnostic",
            "value_template": (
                f"{{{{ 'OFF' if value_json.sources.{source} in ['live', 'off'] else 'ON' }}}}"
            ),
            "expire_after": EXPIRES_S,
        }
    return parts


def _switches(base: str, sources: Collection[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "platform": "switch",
            "name": name.capitalize(),
            "icon": icon,
            "entity_category": "config",
            "command_topic": f"{base}/{name}/set",
            "value_template": f"{{{{ value_json.{name} }}}}",
        }
        for name, icon in zip(
            SWITCHES, ("mdi:pause-circle-outline", "mdi:video", "mdi:microphone"), strict=True
        )
        if name == "pause" or name in sources
    }


_MILLISECONDS = {
    "unit_of_measurement": "ms",
    "device_class": "duration",
    "entity_category": "diagnostic",
    "enabled_by_default": False,
}


def _number(name: str, key: str, icon: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "state_class": "measurement",
        "value_template": f"{{{{ value_json.{key} }}}}",
        "expire_after": EXPIRES_S,
    }
