"""The sample's events, repeated as in a live room."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from mera_edge.events import EmotionEvent, timestamp
from mera_edge.sample import CLIP

STEP_S = 0.2
SOURCES = {
    "hall_camera": {"name": "camera rtsp://10.0.0.7:554/…", "state": "live"},
    "hall_microphone": {"name": "microphone default", "state": "live"},
}


def recorded() -> list[dict[str, Any]]:
    """Return the events of the sample."""
    command = [sys.executable, "-m", "mera_edge", "predict", str(CLIP), "--json"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()[:-1]]


def again(events: list[dict[str, Any]]) -> Iterator[EmotionEvent]:
    """Yield them endlessly, as of a room."""
    since, label, began = "", None, 0
    for number in count():
        fields = dict(events[number % len(events)])
        fields.pop("media_time_s", None)
        moment = dict(fields.pop("moment", None) or {})
        if moment.get("label") != label:
            label, since, began = moment.get("label"), timestamp(time.time()), number
        if moment:
            fields["moment"] = {**moment, "since": since, "lasts_s": (number - began) * STEP_S}
        fields |= {"run": "page", "sequence": number, "room_id": "hall", "sources": SOURCES}
        yield EmotionEvent.model_validate({**fields, "at": timestamp(time.time())})
