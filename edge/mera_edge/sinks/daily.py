"""Daily rotation of a file, with deletion of the oldest ones."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from mera_edge.errors import InputError


class DailyFiles:
    """Renames the file of a past day to ``events.2026-11-29.jsonl``, and deletes expired ones.

    Days are in UTC, as in events.

    Args:
        path: today's file.
        keep_days: number of past days that are kept.
    """

    def __init__(self, path: Path, keep_days: int) -> None:
        self._path, self._keep_days = path, keep_days
        self._day = _last_day(path)

    def turn(self, today: date) -> bool:
        """Rotate if a new day has begun; return whether it has, so that the file must be reopened.

        Raises:
            InputError: a file cannot be moved or deleted.
        """
        if today == self._day:
            return False
        try:
            if self._day is not None and self._path.exists() and self._path.stat().st_size:
                self._path.rename(self._free(self._day))
            oldest = today - timedelta(days=self._keep_days)
            for file in self._path.parent.iterdir():
                day = self._day_of(file)
                if day is not None and day < oldest:
                    file.unlink()
        except OSError as error:
            raise InputError(
                f"{self._path} of an earlier day cannot be moved or deleted ({error.strerror})",
                f"make {self._path.parent} writable for this user",
            ) from error
        self._day = today
        return True

    def _free(self, day: date) -> Path:
        number = 0
        while True:
            part = f".{number}" if number else ""
            path = self._path.with_name(f"{self._path.stem}.{day}{part}{self._path.suffix}")
            if not path.exists():
                return path
            number += 1

    def _day_of(self, file: Path) -> date | None:
        stem, suffix = re.escape(self._path.stem), re.escape(self._path.suffix)
        found = re.fullmatch(rf"{stem}\.(\d{{4}}-\d\d-\d\d)(\.\d+)?{suffix}", file.name)
        try:
            return date.fromisoformat(found[1]) if found else None
        except ValueError:
            return None


def _last_day(path: Path) -> date | None:
    """Return the day of a file's last modification; ``None`` if there is no file."""
    if not path.is_file():
        return None
    return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).date()
