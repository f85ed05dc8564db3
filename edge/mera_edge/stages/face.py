"""What the faces say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.evidence import Evidence
from mera_edge.features.face import Face, Image, align
from mera_edge.labels import project
from mera_edge.sources.base import VideoFrame
from mera_edge.stages.active_speaker import ActiveSpeakerDetector
from mera_edge.stages.face_detector import (
    LIKELY,
    SAME,
    SURE,
    FaceDetector,
    face_detector,
    find_near,
    find_turned,
)
from mera_edge.stages.face_encoder import FacePrediction, face_encoder
from mera_edge.stages.face_tracker import FaceTracker
from mera_edge.stages.motion import MotionGate
from mera_edge.stages.stillness import StillnessDetector

STILL_EVERY_S = 10.0
"""Time between searches in power saving while nothing moves."""

REST_AFTER_S = 2.0
"""Time without motion after which nobody is expected to come into view the next moment."""

ALERT_S = 2.0
"""Time after motion begins in a room that was at rest in which every picture is searched: somebody
who enters is seen sooner, and a room in which something always moves costs no more."""

LOOK_EVERY_S = 0.5
"""Time between the pictures that are compared meanwhile, to see whether anything moves."""

SMOOTHING_S = 0.3
"""Time constant of the exponential smoothing per person, and so the delay that it adds: a change
of expression shows at 63 % after this time and at 95 % after three times as long."""

MOST_FACES = 4
"""Faces that are read in one picture, the largest ones: the cost of a crowd stays bounded."""

SPEAKER_SIZE = 48
"""Side of the crops in which mouths are watched, where the encoder is not fed grey ones."""

LYING_EVERY_S = 2.0
"""Time between searches for people who lie, in pictures turned to either side."""

LYING = 0.7
"""Confidence that such a face must reach (`benchmarks/lying.py`): people who lie are then found as
often as people who sit, and things are taken for them in 2 % of photographs of things."""

CROP_BELOW = 128
"""A picture file whose longest side is shorter, in pixels, is a face crop already."""


@dataclass(frozen=True, slots=True)
class FaceSearch:
    """When a picture is searched for faces though none was there a moment ago."""

    every_s: float = 0.0
    """Time between two such searches."""
    power_saving: bool = False
    """Whether they are left out where nothing moved, but for one in `STILL_EVERY_S`."""


class FaceStage:
    """Finds faces, keeps them apart and reads them.

    Args:
        bundle: the models.
        detecting: the bundle of the face detector; by default the same.

    Raises:
        BundleError: the bundle has no face encoder, or one for other features than ours.
        EngineError: a model cannot be loaded.

    Attributes:
        motionless: whether the newest picture has faces, but only such as keep still like a
            photograph. They are not read.
    """

    def __init__(self, bundle: Bundle, detecting: Bundle | None = None) -> None:
        self._encoder = face_encoder(bundle)
        self._open_detector = partial(face_detector, detecting or bundle)
        if "face_detector" in bundle.published:
            _ = self._detector  # What was asked for by name is missed now, not with the first face.
        self._tracker = FaceTracker()
        self._speaker = ActiveSpeakerDetector()
        self.reset()

    @cached_property
    def _detector(self) -> FaceDetector:
        """Opened when it is needed: crops are read without one."""
        return self._open_detector()

    def reset(self) -> None:
        """Forget everyone: the next picture is the first of a new stream."""
        self._tracker.reset()
        self._speaker.reset()
        self._searched_s = self._compared_s = self._moved_s = self._began_s = -math.inf
        self._turned_s = -math.inf
        self._quarters = self._in_view = 0
        self._motion = MotionGate()
        self._stillness = StillnessDetector()
        self.motionless = False
        self._smoothed: dict[int, tuple[float, FacePrediction]] = {}

    def needs_frame(self, now_s: float, how: FaceSearch, known: bool = True) -> bool:
        """Return whether a picture of stream time ``now_s`` would be looked at for anything.

        Args:
            now_s: not before that of the last picture.
            how: when a picture without known faces is searched.
            known: whether a face that is followed alone shall be read. With several people every
                picture is of use: who speaks is seen from one to the next.
        """
        alone = self._in_view == len(self._tracker.tracks) == 1
        if not how.power_saving or (self._tracker.tracks and (known or not alone)):
            return True
        if alone:
            return False
        if self._is_alert(now_s):
            return True
        return now_s - self._searched_s >= how.every_s and now_s - self._compared_s >= LOOK_EVERY_S

    def is_resting(self, now_s: float) -> bool:
        """Return whether nobody is in view, and nothing has moved for a while."""
        return not self._tracker.tracks and now_s - self._moved_s >= REST_AFTER_S

    def missed(self, now_s: float) -> None:
        """Treat the lack of a new picture at stream time ``now_s`` as a picture without motion."""
        if self._compared_s > -math.inf:
            self._compared_s = now_s

    def accept(
        self, picture: VideoFrame, how: FaceSearch | None = None, speech: bool = False
    ) -> list[Evidence]:
        """Read the faces of the next picture of a stream.

        Args:
            picture: the next one.
            how: when a picture without known faces is searched.
            speech: whether speech is heard.

        Returns:
            One evidence per face in view that moves at times: of several, first that of who speaks
            or spoke last, then the largest. ``person`` stays the same while a face stays in view;
            probabilities, valence and embedding are smoothed over time.
        """
        image, now_s = picture.image, picture.at_s
        if not self._tracker.tracks and not self._is_time_to_search(picture, how or FaceSearch()):
            self.motionless = False
            return []
        self._searched_s = now_s
        found = self._find(image, now_s)[:MOST_FACES]
        tracks = self._tracker.update([face.box for face in found], now_s)
        self._in_view = len(tracks)
        if not self._tracker.tracks:
            self._quarters = 0
        known = {track.person for track in self._tracker.tracks}
        self._smoothed = {p: last for p, last in self._smoothed.items() if p in known}
        self._stillness.keep(known)
        faces = {
            track.person: face
            for track, face in zip(tracks, found, strict=True)
            if not self._stillness.is_still(track.person, image, face.box, now_s)
        }
        self.motionless = bool(tracks) and not faces
        crops = {person: self._encoder.cut_out(image, face) for person, face in faces.items()}
        speaker = None
        if len(faces) > 1:
            mouths = {
                person: crop if crop.ndim == 2 else align(image, SPEAKER_SIZE, faces[person])
                for person, crop in crops.items()
            }
            speaker = self._speaker.choose(mouths, now_s, speech)
        return [
            self._evidence(person, self.read(crops[person]), now_s)
            for person in sorted(crops, key=lambda person: person != speaker)
        ]

    def _find(self, image: Image, now_s: float) -> list[Face]:
        """Find the faces of a picture: of people who are upright or else, looked for less often, of
        people who lie."""
        found = self._find_followed(image)
        if (found and not self._quarters) or now_s - self._turned_s < LYING_EVERY_S:
            return found
        self._turned_s = now_s
        if self._quarters and (upright := self._detector.find(image)):
            self._quarters = 0
            return upright
        if not found:
            # On its head many a face is still taken for one, but not as surely.
            ways = [(way, find_turned(self._detector, image, way, LYING)) for way in (1, 3)]
            way, found = max(ways, key=lambda w: max((f.confidence for f in w[1]), default=0.0))
            if found:
                self._quarters = way
        return found

    def _find_followed(self, image: Image) -> list[Face]:
        """Find the faces that are turned like those that were there a moment ago, looking twice for
        these."""
        before = [track.box for track in self._tracker.tracks]
        found = [
            face
            for face in find_turned(
                self._detector, image, self._quarters, LIKELY if before else SURE
            )
            if face.confidence >= SURE or any(face.box.overlap(box) >= SAME for box in before)
        ]
        lost = [box for box in before if not any(face.box.overlap(box) >= SAME for face in found)]
        # Only for the largest: a second look costs as much as the first.
        if lost:
            largest = max(lost, key=lambda box: box.area)
            others = [face.box for face in found]
            again = find_near(self._detector, image, largest, others, self._quarters)
            found += [again] if again else []
        return sorted(found, key=lambda face: -face.box.area)

    def _is_time_to_search(self, picture: VideoFrame, how: FaceSearch) -> bool:
        gone_s = picture.at_s - self._searched_s
        if gone_s < how.every_s and not self._is_alert(picture.at_s):
            return False
        self._compared_s = picture.at_s
        if not how.power_saving:
            return True
        if self._motion.since_kept(picture.image):
            if REST_AFTER_S <= picture.at_s - self._moved_s < math.inf:
                self._began_s = picture.at_s
            self._moved_s = picture.at_s
            return True
        return gone_s >= STILL_EVERY_S

    def _is_alert(self, now_s: float) -> bool:
        return now_s - self._began_s < ALERT_S

    def _evidence(self, person: int, reading: FacePrediction, now_s: float) -> Evidence:
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

    @property
    def labels(self) -> tuple[str, ...]:
        """The encoder's own."""
        return self._encoder.labels

    def read(self, crop: NDArray[np.float32]) -> FacePrediction:
        """Read one crop; the bundle's encoder takes ``[S, S]``, grey from 0 to 255."""
        return self._encoder.read(crop)

    def cut_out(self, image: Image) -> NDArray[np.float32] | None:
        """Return the face of a picture that stands alone, ``[S, S]``, as `read` takes it.

        A small picture (`CROP_BELOW`) is a face crop already. In a larger one the largest face is
        looked for; ``None`` if there is none.

        Args:
            image: ``[H, W, 3]`` blue first.
        """
        if max(image.shape[:2]) < CROP_BELOW:
            return self._encoder.cut_out(image, None)
        found = self._detector.find(image)
        return self._encoder.cut_out(image, found[0]) if found else None
