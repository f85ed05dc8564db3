"""What a source gives: sound and pictures with the stream time at which they were captured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.reasons import ReasonCode

if TYPE_CHECKING:  # the child process of a device does without pydantic
    from fractions import Fraction

    from mera_edge.events import SourceState


@dataclass(frozen=True, slots=True)
class Condition:
    """How a source is doing."""

    state: SourceState
    code: ReasonCode | None = None
    """Why it is ``stalled`` or ``gone``, for machines."""
    reason: str = ""
    """The same for people."""


LIVE: Final = Condition("live")


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of sound."""

    samples: NDArray[np.float32]
    """``[n]``, mono, 16 kHz, in [-1, 1]."""
    at_s: float
    """Stream time of the first sample, in seconds."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame of a camera."""

    image: NDArray[np.uint8]
    """``[H, W, 3]``, blue, green, red."""
    at_s: float
    """Stream time of its capture, in seconds."""


@dataclass(slots=True)
class Captured:
    """What came in since the last poll."""

    audio: list[AudioChunk] = field(default_factory=list)
    frame: VideoFrame | None = None
    """The newest one: older ones are out of date and dropped."""
    is_heard_only: bool = False
    """Whether no picture was asked for, though one may be of use."""


class Source(Protocol):
    """A file, a camera or a microphone."""

    name: str
    """What it is, for messages, without secrets: a path, ``camera 0``."""
    id: str
    """What events call it: the same after a restart with the same settings."""
    is_live: bool
    """Whether it happens now (a device) or can be read as fast as the machine goes (a file)."""

    @property
    def has_audio(self) -> bool:
        """Whether it gives sound; known once open."""

    @property
    def has_video(self) -> bool:
        """Whether it gives pictures; known once open."""

    def open(self) -> None:
        """Make it ready: from now on it captures. A device is not waited for: see `condition`.

        Raises:
            InputError: the file cannot be used.
            MissingExtra: a package is not installed.
        """

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return everything captured up to stream time ``until_s`` and not returned before.

        Args:
            needs_frame: whether a picture is of use. None is made or copied where it is not.
        """

    @property
    def condition(self) -> Condition:
        """How it is doing, as of the last poll. A file is always live."""

    @property
    def ended(self) -> bool:
        """Whether there will never be more. A device that is gone may come back."""

    def close(self) -> None:
        """Let go of the device or file. May be called twice."""


def seconds(ticks: int, base: Fraction) -> float:
    """Return ``float(ticks * base)``, to the bit, in a tenth of the time."""
    return ticks * base.numerator / base.denominator
