"""Validates the published MQTT discovery messages with Home Assistant's own schema.

    python benchmarks/ha_schema.py > discovery.json
    python benchmarks/ha_schema.py discovery.json     # in a Python with the package homeassistant

Parsing, the options that components share and the schema of every platform are those of its MQTT
integration. Keys that this version does not know are named: it leaves them out. Exits with 1 if
anything is refused.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def published() -> dict[str, str]:
    """Return topics and payloads of a box and a room that has everything."""
    from mera_edge.config import SinkSettings
    from mera_edge.sinks.mqtt import discovery
    from mera_edge.sinks.mqtt.address import Address

    address = Address.of(SinkSettings(to="mqtt://broker", node="attic"))
    room = discovery.room_device(address, "hall", "Hall", ("camera", "microphone"), True, True)
    machine = discovery.machine_device(address, "default")
    return {topic: json.dumps(payload) for topic, payload in (machine, room)}


def checked(topic: str, payload: str) -> tuple[int, list[str]]:
    """Return how many components Home Assistant takes, and the keys that it does not know.

    Raises:
        voluptuous.Invalid: it refuses one.
    """
    mqtt: Any = importlib.import_module("homeassistant.components.mqtt.discovery")
    name = topic.split("/")[1]
    parsed = mqtt._parse_device_payload(None, payload, name, None)
    if not parsed:
        raise SystemExit(f"{topic} is refused")
    components, unknown = parsed["components"], []
    for key, component in components.items():
        config = mqtt.MQTTDiscoveryPayload({**component})
        platform = config.pop("platform")
        # As it does: what the device says counts for its components.
        config["device"], config["origin"] = parsed["device"], parsed["origin"]
        mqtt._merge_common_device_options(config, parsed)
        module: Any = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
        taken = module.DISCOVERY_SCHEMA(config)
        unknown += [f"{key}.{each}" for each in config.keys() - taken.keys()]
    return len(components), unknown


async def check(file: Path) -> None:
    """Report for every topic of a file how Home Assistant parses it."""
    core: Any = importlib.import_module("homeassistant.core")
    version = importlib.import_module("homeassistant.const").__version__
    with tempfile.TemporaryDirectory() as place:
        core.HomeAssistant(place)  # templates want one around them
        for topic, payload in json.loads(file.read_text()).items():
            count, unknown = checked(topic, payload)
            names = sorted({each.partition(".")[2] for each in unknown})
            print(f"Home Assistant {version} takes {topic}: {count} components, unknown: {names}")


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(check(Path(sys.argv[1])))
    else:
        print(json.dumps(published()))
