"""Tracking of faces from frame to frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mera_edge.features.face import Box

FORGOTTEN_AFTER_S = 3.0
"""A face that reappears near its last position within this time is the same person: people turn
away for a moment."""
_SAME = 0.3
"""Smallest intersection over union with the last position."""
_REACH, _REACH_PER_S = 1.0, 6.0
"""Largest distance from the last position, in sides of the box: a constant, and a rate per second
unseen. People walk at 1.2 m/s; a face is 0.2 m high."""
_LARGEST_SCALE = 1.6
"""Largest factor by which the side may have changed."""


@dataclass(slots=True)
class FaceTrack:
    """One person's face."""

    person: int
    """1, 2, 3, ...; never reused."""
    box: Box
    seen_s: float
    """Stream time at which the face was last seen."""


class FaceTracker:
    """Assigns each face a number that stays the same from frame to frame."""

    def __init__(self) -> None:
        self._tracks: list[FaceTrack] = []
        self._people = 0

    @property
    def tracks(self) -> tuple[FaceTrack, ...]:
        """All tracks that have not expired."""
        return tuple(self._tracks)

    def update(self, boxes: Sequence[Box], at_s: float) -> list[FaceTrack]:
        """Return one track for every box, in the same order.

        Args:
            boxes: the faces of one frame.
            at_s: stream time of the frame, in seconds.
        """
        self._tracks = [t for t in self._tracks if at_s - t.seen_s <= FORGOTTEN_AFTER_S]
        pairs = sorted(
            (
                (track.box.overlap(box), track.person, number)
                for track in self._tracks
                for number, box in enumerate(boxes)
            ),
            reverse=True,
        )
        by_person = {track.person: track for track in self._tracks}
        seen: dict[int, FaceTrack] = {}
        for overlap, person, number in pairs:
            if overlap >= _SAME and person in by_person and number not in seen:
                seen[number] = by_person.pop(person)
        new = [number for number in range(len(boxes)) if number not in seen]
        if len(new) == len(by_person) == 1:
            # One face is missing and one is new: it may have moved too far to overlap.
            (track,) = by_person.values()
            if _is_within_reach(track, boxes[new[0]], at_s):
                seen[new[0]] = track
        for number, box in enumerate(boxes):
            if number not in seen:
                self._people += 1
                seen[number] = FaceTrack(self._people, box, at_s)
                self._tracks.append(seen[number])
            seen[number].box, seen[number].seen_s = box, at_s
        return [seen[number] for number in range(len(boxes))]

    def reset(self) -> None:
        """Delete all tracks and start again with person 1."""
        self._tracks, self._people = [], 0


def _is_within_reach(track: FaceTrack, box: Box, at_s: float) -> bool:
    """Whether the face can have moved to ``box`` since it was last seen."""
    side = max(track.box.height, box.height)
    if side > _LARGEST_SCALE * min(track.box.height, box.height):
        return False
    right = box.x + box.width / 2 - track.box.x - track.box.width / 2
    down = box.y + box.height / 2 - track.box.y - track.box.height / 2
    return math.hypot(right, down) <= side * (_REACH + _REACH_PER_S * (at_s - track.seen_s))
