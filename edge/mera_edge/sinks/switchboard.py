"""What a sink that takes commands may switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SwitchStates(Protocol):
    """What is on in a room."""

    @property
    def paused(self) -> bool:
        """Whether everything is off."""

    @property
    def camera(self) -> bool:
        """Whether the camera is on."""

    @property
    def microphone(self) -> bool:
        """Whether the microphone is on."""


class Switchboard(Protocol):
    """The switches of every room."""

    @property
    def rooms(self) -> Mapping[str, SwitchStates]:
        """By the room's id."""

    def set(
        self,
        room: str | None = None,
        *,
        by: str,
        paused: bool | None = None,
        camera: bool | None = None,
        microphone: bool | None = None,
    ) -> None:
        """Change switches; those that are ``None`` stay. ``by`` is for the audit log."""
