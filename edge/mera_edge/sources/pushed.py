"""Sound and frames that a program brings itself, instead of a device or a file."""

from __future__ import annotations

from mera_edge.sources.base import LIVE, Captured


class PushedSource:
    """Gives what was put into it.

    Args:
        audio, video: what will be put.
    """

    name = id = "pushed"
    is_live = False
    condition = LIVE

    def __init__(self, audio: bool = True, video: bool = True) -> None:
        self.has_audio, self.has_video = audio, video
        self.ended = False
        self._waiting = Captured()

    def put(self, captured: Captured) -> None:
        """Add what was captured; a newer frame takes the place of an older one."""
        self._waiting.audio += captured.audio
        self._waiting.frame = captured.frame or self._waiting.frame

    def open(self) -> None:
        """Begin without what was put before."""
        self._waiting = Captured()

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return what was put since the last poll."""
        captured, self._waiting = self._waiting, Captured()
        return captured

    def close(self) -> None:
        """Do nothing: nothing is held."""
