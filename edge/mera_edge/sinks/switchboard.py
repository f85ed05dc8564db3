"""The protocol of switches for sinks that accept commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SwitchStates(Protocol):
    """The switches of a room."""

    @property
    def paused(self) -> bool:
        """Whether the room is paused."""

    @property
    def camera(self) -> bool:
        """Whether the camera is on."""

    @property
    def microphone(self) -> bool:
        """Whether the microphone is on."""


class Switchboard(Protocol):
    """The switches of all rooms."""

    @property
    def rooms(self) -> Mapping[str, SwitchStates]:
        """The switches by room id."""

    def set(
        self,
        room: str | None = None,
        *,
        by: str,
        paused: bool | None = None,
        camera: bool | None = None,
        microphone: bool | None = None,
    ) -> None:
        """Set switches; ``None`` leaves one unchanged. ``by`` is recorded in the audit log."""
