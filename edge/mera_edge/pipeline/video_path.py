"""What the pictures of a room say: the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mera_edge.evidence import Evidence
from mera_edge.pipeline.latency_budget import TickPlan
from mera_edge.pipeline.stage_runner import Stages, StageTimes
from mera_edge.reasons import Reason
from mera_edge.sources.base import VideoFrame
from mera_edge.stages.face import FaceStage

DARK = 12
"""Brightness, of 255, that the brightest hundredth of a picture has when it is too dark: at 25, a
tenth of daylight, a face is still found and read as well; at 5 none is found."""


@dataclass(frozen=True, slots=True)
class VideoObservation:
    """What the picture of one tick said."""

    evidence: tuple[Evidence, ...] = ()
    skipped: tuple[str, ...] = ()


class VideoPath:
    """Face detector and encoder of one room.

    Args:
        stages: makes them.
        times: what the tick has taken so far.

    Attributes:
        left_out: whether the newest picture was not looked at for want of time.
        dark: whether it was too dark to see anything in it.
        motionless: whether all faces in it keep still like a photograph.
        caution: why what it says deserves less trust.
    """

    def __init__(self, stages: Stages, times: StageTimes) -> None:
        self._times = times
        self._face = stages.runner("face", FaceStage)
        self.reset()

    def reset(self) -> None:
        """Forget everyone: the next picture is the first of a new stream."""
        self._face.reset()
        self._face.call(0.0, lambda face: face.reset())
        self.left_out = self.dark = self.motionless = False
        self.caution: Reason | None = None

    def warm_up(self) -> None:
        """Run every model once."""
        wall = VideoFrame(np.full((240, 320, 3), 127, np.uint8), 0.0)
        self._face.call(0.0, lambda face: face.accept(wall))

    @property
    def failure(self) -> str | None:
        """Why there is no face, where a stage fails."""
        return self._face.reason

    def is_resting(self, now_s: float) -> bool:
        """Return whether nobody is in view, and nothing has moved for a while."""
        resting = self._face.call(now_s, lambda face: face.is_resting(now_s), "needs_frame")
        return resting is not False  # a stage that fails sees nobody

    def needs_frame(self, now_s: float, plan: TickPlan) -> bool:
        """Return whether the tick at stream time ``now_s`` has a use for a picture."""
        return plan.face and self._needs_frame(now_s, plan, plan.known_face)

    def see(
        self, picture: VideoFrame | None, now_s: float, plan: TickPlan, speech: bool, expected: bool
    ) -> VideoObservation:
        """Look at the newest picture, as far as the plan has time for it.

        Args:
            picture: none came since the last tick when ``None``.
            now_s: stream time.
            plan: what there is time for.
            speech: whether speech is heard.
            expected: whether the source gives pictures.
        """
        if self._is_left_out(now_s, plan):
            self.left_out = expected or self.left_out
            return VideoObservation(skipped=("face",) if expected else ())
        if picture is None:
            if plan.face and self._needs_frame(now_s, plan, plan.known_face):
                self._face.call(now_s, lambda face: face.missed(now_s), "needs_frame")
            return VideoObservation()
        self.left_out = False
        seen = self._face.call(
            now_s, lambda face: (face.accept(picture, plan.search, speech), face.motionless)
        )
        faces, self.motionless = seen or (None, False)
        several = faces is not None and len(faces) > 1
        self.caution = Reason.of("several_faces") if several else None
        self.dark = not faces and bool(np.percentile(picture.image[::16, ::16], 99) < DARK)
        return VideoObservation(tuple(faces[:1]) if faces else ())

    def _is_left_out(self, now_s: float, plan: TickPlan) -> bool:
        if not plan.face or self._times.total_ms > plan.face_before_ms:
            return True
        if plan.known_face:
            return False
        return self._needs_frame(now_s, plan, known=True) and not self._needs_frame(
            now_s, plan, known=False
        )

    def _needs_frame(self, now_s: float, plan: TickPlan, known: bool) -> bool:
        # A glance is no look: it has a time of its own.
        return bool(
            self._face.call(
                now_s, lambda face: face.needs_frame(now_s, plan.search, known), "needs_frame"
            )
        )
