"""Events as JSON Lines."""

from __future__ import annotations

from typing import ClassVar

from mera_edge.events import EmotionEvent, Summary
from mera_edge.sinks.lines import Lines


class JsonLines:
    """One event per line; the summary comes last.

    Args:
        target: see `Lines`; a file is continued.

    Raises:
        InputError: see `Lines`.
    """

    newest_only: ClassVar = False

    def __init__(self, target: str) -> None:
        self._lines = Lines(target)

    def publish(self, event: EmotionEvent) -> None:
        """Write one event."""
        self._lines.write(event.to_json())

    def reopen(self) -> None:
        """Continue in a new file if the present one was moved away: see `Lines`."""
        self._lines.reopen()

    def close(self, summary: Summary) -> None:
        """Write the summary and close the file."""
        self._lines.write(summary.to_json())
        self._lines.close()
