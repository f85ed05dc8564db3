"""What the faces say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.events import Evidence
from mera_edge.features.face import SPEC, Image, crop, decode
from mera_edge.labels import project
from mera_edge.sources.base import Picture
from mera_edge.stages.face_detector import SEARCH_SIDE, face_detector, largest_first
from mera_edge.stages.face_tracker import FaceTracker

SEARCH_EVERY_S = 0.5
"""Time between searches of the whole picture; in between, known faces are followed."""

SMOOTHING_S = 0.3
"""Time constant of the exponential smoothing per person, and so the delay that it adds: a change
of expression shows at 63 % after this time and at 95 % after three times as long."""

MOST_FACES = 4
"""Faces that are read in one picture, the largest ones: the cost of a crowd stays bounded."""

CROP_BELOW = 128
"""A picture file whose longest side is shorter, in pixels, is a face crop already."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the encoder says about one crop."""

    probabilities: NDArray[np.float32]
    """``[C]`` over the encoder's own labels."""
    valence: float
    """In [-1, 1]."""
    embedding: NDArray[np.float32]
    """``[D]``"""

    def moved_to(self, newer: Reading, share: float) -> Reading:
        """Return the mean of both, in which ``newer`` has the given share."""
        return Reading(
            self.probabilities + share * (newer.probabilities - self.probabilities),
            self.valence + share * (newer.valence - self.valence),
            self.embedding + share * (newer.embedding - self.embedding),
        )


class FaceStage:
    """Finds faces, keeps them apart and reads them.

    Raises:
        BundleError: the bundle has no face encoder, or one for other features than ours.
        EngineError: a model cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        role = bundle.role("face")
        role.require_features(SPEC)
        self.labels: tuple[str, ...] = role.entry.labels
        self._engine = role.engine()
        self._size = self._engine.inputs["face"].shape[-1]
        self._detector = face_detector(bundle)
        self._tracker = FaceTracker()
        self.reset()

    def reset(self) -> None:
        """Forget everyone: the next picture is the first of a new stream."""
        self._tracker.reset()
        self._searched_s = -math.inf
        self._smoothed: dict[int, tuple[float, Reading]] = {}

    def accept(self, picture: Picture, search_side: int = SEARCH_SIDE) -> list[Evidence]:
        """Read the faces of the next picture of a stream.

        Args:
            picture: the picture.
            search_side: see `FaceDetector.search`.

        Returns:
            One evidence per face in view, the largest first; ``person`` stays the same while a
            face stays in view, and probabilities, valence and embedding are smoothed over time.
        """
        image, now_s = picture.image, picture.at_s
        boxes = [self._detector.follow(image, track.box) for track in self._tracker.tracks]
        if now_s - self._searched_s >= SEARCH_EVERY_S:
            self._searched_s = now_s
            boxes += self._detector.search(image, search_side)
        found = largest_first([box for box in boxes if box is not None])[:MOST_FACES]
        tracks = self._tracker.update(found, now_s)
        known = {track.person for track in self._tracker.tracks}
        self._smoothed = {p: last for p, last in self._smoothed.items() if p in known}
        return [
            self._evidence(track.person, self.read(crop(image, self._size, track.box)), now_s)
            for track in tracks
        ]

    def _evidence(self, person: int, reading: Reading, now_s: float) -> Evidence:
        if person in self._smoothed:
            then_s, smoothed = self._smoothed[person]
            share = 1 - math.exp(-max(0.0, now_s - then_s) / SMOOTHING_S)
            reading = smoothed.moved_to(reading, share)
        self._smoothed[person] = (now_s, reading)
        return Evidence(
            modality="face",
            captured_s=now_s,
            probabilities=project(reading.probabilities, self.labels),
            valence=reading.valence,
            embedding=reading.embedding,
            person=person,
        )

    def read(self, face: NDArray[np.float32]) -> Reading:
        """Read one crop ``[S, S]``, grey from 0 to 255."""
        answer = self._engine.run({"face": face[None, None]})
        return Reading(
            answer["probabilities"][0], float(answer["valence"][0, 0]), answer["embedding"][0]
        )

    def classify(self, image: Image) -> Reading:
        """Read a picture that stands alone.

        A small one (`CROP_BELOW`) is a face crop already. In a larger one the largest face is
        looked for; when there is none, the whole picture is read.

        Args:
            image: ``[H, W, 3]`` blue first.
        """
        box = None
        if max(image.shape[:2]) >= CROP_BELOW:
            box = next(iter(self._detector.search(image)), None)
        return self.read(crop(image, self._size, box))

    def classify_file(self, path: Path) -> Reading:
        """Read a picture file as `classify` does.

        Raises:
            InputError: the file is missing, empty, cut off or no picture.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})", "give a file") from error
        return self.classify(decode(data, str(path)))
