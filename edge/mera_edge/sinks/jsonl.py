"""Events as JSON Lines."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import ClassVar

from mera_edge.events import EmotionEvent, Summary
from mera_edge.sinks.daily import DailyFiles
from mera_edge.sinks.lines import Lines


class JsonLines:
    """One event per line; the summary comes last.

    Args:
        target: see `Lines`; an existing file is appended to.
        keep_days: rotate the file daily, and delete it after this many days: see `DailyFiles`.

    Raises:
        InputError: see `Lines`.
    """

    newest_only: ClassVar = False

    def __init__(self, target: str, keep_days: int | None = None) -> None:
        self._days = None if keep_days is None else DailyFiles(Path(target), keep_days)
        self._lines = Lines(target)

    def publish(self, event: EmotionEvent) -> None:
        """Write one event."""
        if self._days is not None and self._days.turn(date.fromisoformat(event.at[:10])):
            self._lines.reopen()
        self._lines.write(event.to_json())

    def reopen(self) -> None:
        """See `Lines.reopen`."""
        self._lines.reopen()

    def close(self, summary: Summary) -> None:
        """Write the summary and close the file."""
        self._lines.write(summary.to_json())
        self._lines.close()
