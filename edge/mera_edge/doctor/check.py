"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "fail"]
"""``note``: something optional is missing or not ideal. ``fail``: the requested run cannot
succeed."""


@dataclass(frozen=True)
class Check:
    """One check and its result."""

    what: str
    state: State
    found: str
    remedy: str = ""
