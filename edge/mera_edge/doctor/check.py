"""What `doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "fail"]
"""``note``: something optional is absent, or not as it should be. ``fail``: the run that was asked
for cannot succeed."""


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    what: str
    state: State
    found: str
    remedy: str = ""
