"""What an event says about its run: whose it is, which one, and what the run runs."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import BaseModel

from mera_edge import __version__
from mera_edge.bundle import Bundle
from mera_edge.events import EmotionEvent, RunInfo


def run_info(bundle: Bundle) -> RunInfo:
    """Return what a run of these models is about."""
    manifest = bundle.manifest
    return RunInfo(version=__version__, bundle=manifest.name, bundle_id=manifest.id)


class Stamp:
    """Numbers the events of one run."""

    def __init__(self) -> None:
        self._run = uuid.uuid4().hex[:12]
        self._about: RunInfo | None = None
        self._told: RunInfo | None = None
        self._next = 0

    def announce(self, about: RunInfo) -> None:
        """Have the next event say what is run from now on, if that is new."""
        if about != self._told:
            self._about = self._told = about

    def put(self, event: EmotionEvent) -> EmotionEvent:
        """Return the event with the id of the run and its number."""
        given = {"run": self._run, "sequence": self._next, "about": self._about}
        self._next, self._about = self._next + 1, None
        return event.model_copy(update=given)


class Recorded(BaseModel):
    """What a recording keeps of an event because no evidence explains it."""

    run: str | None = None
    sequence: int | None = None
    about: RunInfo | None = None
    room: str | None = None
    room_id: str | None = None

    @classmethod
    def of(cls, event: EmotionEvent) -> dict[str, Any]:
        """Return it as JSON has it."""
        return event.model_dump(include=set(cls.model_fields), exclude_none=True)

    def put(self, event: EmotionEvent) -> EmotionEvent:
        """Return the event with it."""
        return event.model_copy(update=dict(self))
