"""A camera: the newest picture, captured in a process that may hang without anyone waiting."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import SourceError
from mera_edge.redaction import redacted
from mera_edge.sources import address, device
from mera_edge.sources.base import Captured, Condition, VideoFrame
from mera_edge.sources.capture_process import CaptureProcess
from mera_edge.sources.child import serve
from mera_edge.sources.connection import Connection, StreamTrack
from mera_edge.sources.shared_frame import LONGEST_SIDE, SharedFrame

FROZEN_AFTER_S = 10.0
"""The same picture for so long is a frozen one: sensors have noise. It is no longer passed on."""

SHARED_PER_S = 15
"""Pictures that are decoded and shared, at most; more would be dropped unseen."""

_COMPARED = 8
"""Of that many rows and columns one is compared with the picture before."""


class Camera:
    """A device or a GStreamer pipeline, through OpenCV, or a stream of the network.

    Args:
        spec: ``0``, ``/dev/...``, ``rtsp://...``, ``http://...`` or ``... ! appsink``.
        id: what events call it.
        connection: of a stream of which a microphone has the sound.
    """

    is_live = True
    has_audio = False
    has_video = True
    ended = False

    def __init__(
        self, spec: str, id: str = "room_1_camera", connection: Connection | None = None
    ) -> None:
        self.name, self.id = f"camera {redacted(spec)}", id
        self._spec = spec
        self._slot: SharedFrame | None = None
        self._connection = connection
        if connection is None and address.kind(spec) == "url":
            self._connection = Connection(spec)
        self._worker: CaptureProcess | StreamTrack | None = None
        self._compared: NDArray[np.uint8] | None = None
        self._changed_s = 0.0
        self._frozen = False
        self.condition = Condition("connecting")

    def open(self) -> None:
        """Start its process."""
        self.close()
        self._slot = SharedFrame()
        descriptor = self._slot.descriptor
        if self._connection is not None:
            self._worker = self._connection.join("video", self._slot)
        else:
            self._worker = CaptureProcess(__name__, self._spec, [str(descriptor)], [descriptor])
        self._compared, self._frozen = None, False
        self.poll(0.0)

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return the newest picture, if there is a new one and it is not frozen."""
        if self._worker is None or self._slot is None:
            return Captured()
        self._slot.polled()
        self._worker.read()
        taken = self._slot.take() if needs_frame else None
        if taken is not None:
            self._frozen = self._unchanged_for(*taken) > FROZEN_AFTER_S
        self.condition = self._worker.condition
        if self._frozen and self.condition.state == "live":
            self.condition = Condition("stalled", "frozen", "the image does not change")
        if taken is None or self._frozen:
            return Captured()
        image, captured_s = taken
        age_s = time.monotonic() - captured_s
        return Captured(frame=VideoFrame(image, max(0.0, until_s - age_s)))

    def close(self) -> None:
        """End its process."""
        if self._worker is not None:
            self._worker.close()
        if self._slot is not None:
            self._slot.close()
        self._worker = self._slot = None

    def _unchanged_for(self, image: NDArray[np.uint8], captured_s: float) -> float:
        compared = image[::_COMPARED, ::_COMPARED]
        if self._compared is None or not np.array_equal(compared, self._compared):
            self._compared, self._changed_s = compared.copy(), captured_s
        return captured_s - self._changed_s


def capture(spec: str, slot: SharedFrame) -> Generator[bytes, None, None]:
    """Put every picture into the slot, and yield nothing but the fact.

    Raises:
        SourceError: the camera cannot be opened, or its pictures cannot be used.
    """
    camera = _open(spec)
    try:
        shared_s = 0.0
        while camera.grab():
            now_s = time.monotonic()
            if now_s - shared_s < 1 / SHARED_PER_S:
                continue
            good, image = camera.retrieve()
            if good:
                slot.put(_usable(image), now_s)
                shared_s = now_s
                yield b""
    finally:
        camera.release()


def _open(spec: str) -> Any:
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    kind = address.kind(spec)
    if kind == "pipeline":
        camera = cv2.VideoCapture(spec, cv2.CAP_GSTREAMER)
    else:
        camera = cv2.VideoCapture(str(device.node(spec)), cv2.CAP_V4L2)
    if camera.isOpened():
        return camera
    camera.release()
    if kind == "device":
        raise device.diagnosis(device.node(spec))
    if "GStreamer:                   YES" not in cv2.getBuildInformation():
        raise SourceError("no_gstreamer", "this OpenCV was built without GStreamer")
    raise SourceError("cannot_open", "GStreamer cannot start the pipeline")


def _usable(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture as ``[H, W, 3]``, and a huge one smaller."""
    import cv2

    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype != np.uint8 or channels not in (1, 3):
        what = f"it gives pictures of {channels} channels, {image.dtype}: ask for BGR"
        raise SourceError("unsupported", what)
    if channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image


def _main() -> None:
    slot = SharedFrame(int(sys.argv[1]))
    serve(lambda spec: capture(spec, slot))


if __name__ == "__main__":
    _main()
