"""What an event says about its run: whose it is, which one, and what the run runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from mera_edge import __version__
from mera_edge.bundle import Bundle
from mera_edge.events import About, EmotionEvent

_FIELDS = {"run", "sequence", "about", "room", "room_id"}


def about(bundle: Bundle) -> About:
    """Return what a run of these models is about."""
    manifest = bundle.manifest
    return About(version=__version__, bundle=manifest.name, bundle_id=manifest.id)


class Stamp:
    """Numbers the events of one run."""

    def __init__(self) -> None:
        self._run = uuid.uuid4().hex[:12]
        self._about: About | None = None
        self._told: About | None = None
        self._next = 0

    def tell(self, about: About) -> None:
        """Have the next event say what is run from now on, if that is new."""
        if about != self._told:
            self._about = self._told = about

    def put(self, event: EmotionEvent) -> EmotionEvent:
        """Return the event with the id of the run and its number."""
        given = {"run": self._run, "sequence": self._next, "about": self._about}
        self._next, self._about = self._next + 1, None
        return event.model_copy(update=given)


def stamp_of(event: EmotionEvent) -> dict[str, Any]:
    """Return for a recording what no evidence explains."""
    return event.model_dump(include=_FIELDS, exclude_none=True)


def stamped(event: EmotionEvent, stamp: Mapping[str, Any]) -> EmotionEvent:
    """Return an event with what `stamp_of` returned."""
    about = stamp.get("about")
    return event.model_copy(
        update={**stamp, "about": About.model_validate(about) if about else None}
    )
