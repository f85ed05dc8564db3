"""Logs when a camera or microphone is lost and comes back."""

from __future__ import annotations

import logging

from mera_edge.events import EmotionEvent, SourceState, Summary
from mera_edge.reasons import REMEDIES

_LOG = logging.getLogger(__name__)

NOTHING_WORKS = (
    "no camera and no microphone works so far; they are being retried. `mera-edge doctor` with the "
    "same options says why; without a device, try a video: --camera talk.mp4 --mic none"
)


class SourceLog:
    """Logs every change of a source's state, and once if no source has worked so far."""

    def __init__(self) -> None:
        self._states: dict[tuple[str | None, str], tuple[SourceState, str | None]] = {}
        self._some_work = False

    def publish(self, event: EmotionEvent) -> None:
        """Compare the sources with those of the previous event."""
        for id, source in (event.sources or {}).items():
            state = source.state, source.reason_code
            if self._states.get((event.room, id)) != state:
                self._states[event.room, id] = state
                line = f"{event.room}: {source.name}" if event.room else source.name
                why = f": {source.reason}" if source.reason else ""
                remedy = REMEDIES.get(source.reason_code)
                level = logging.WARNING if source.state in ("stalled", "gone") else logging.INFO
                what = f"{line} {source.state}{why}{f' ({remedy})' if remedy else ''}"
                _LOG.log(level, "%s", what)
        states = {state for state, _ in self._states.values()}
        # Events of files have no sources.
        self._some_work |= not event.sources or "live" in states
        if not self._some_work and states == {"gone"}:
            self._some_work = True
            _LOG.error(NOTHING_WORKS)

    def close(self, summary: Summary) -> None:
        """Do nothing."""
