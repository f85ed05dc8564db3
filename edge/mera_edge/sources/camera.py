"""A camera: the newest picture, from a thread that may hang without anyone waiting for it."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import SourceError
from mera_edge.sources.base import Captured, Picture

OPEN_LIMIT_S = 5.0
"""A camera that has given no picture by then does not answer."""

LOST_AFTER_S = 5.0
"""A camera that has given no picture for so long is gone."""


class Camera:
    """A device index, a network URL or a GStreamer pipeline, through OpenCV.

    A reader thread keeps the one newest picture with its capture time; older ones are dropped.

    Args:
        spec: ``0``, ``rtsp://...``, ``http://...`` or ``... ! appsink``.
    """

    is_live = True
    has_sound = False
    has_picture = True

    def __init__(self, spec: str) -> None:
        self.name = f"camera {spec}"
        self._spec = spec
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stop = threading.Event()
        self._newest: tuple[NDArray[np.uint8], float] | None = None
        self._heard_from = 0.0

    def open(self) -> None:
        """Start reading and wait for the first picture.

        Raises:
            SourceError: there is none within `OPEN_LIMIT_S`.
        """
        # A thread of its own: VideoCapture may hang while opening as well as while reading.
        threading.Thread(target=self._read, name=self.name, daemon=True).start()
        began = time.monotonic()
        while not self._arrived.wait(0.05):
            if self._stop.is_set() or time.monotonic() - began > OPEN_LIMIT_S:
                self.close()
                raise SourceError(
                    f"{self.name} gives no picture",
                    "check that it is plugged in, not used by another program, and that its "
                    "index or URL is right",
                )

    def poll(self, until_s: float) -> Captured:
        """Return the newest picture, if there is a new one."""
        with self._lock:
            newest, self._newest = self._newest, None
        if newest is None:
            return Captured()
        image, captured_at = newest
        age_s = time.monotonic() - captured_at
        return Captured(picture=Picture(image, max(0.0, until_s - age_s)))

    @property
    def ended(self) -> bool:
        """Whether no picture has come for `LOST_AFTER_S`."""
        return self._stop.is_set() or time.monotonic() - self._heard_from > LOST_AFTER_S

    def close(self) -> None:
        """Let the reader thread go."""
        self._stop.set()

    def _read(self) -> None:
        capture = _open(self._spec)
        while capture.isOpened() and not self._stop.is_set():
            good, image = capture.read()
            if not good:
                break
            now = time.monotonic()
            with self._lock:
                self._newest, self._heard_from = (image, now), now
            self._arrived.set()
        capture.release()
        self._stop.set()


def _open(spec: str) -> Any:
    # Read by OpenCV when its FFmpeg backend is first used; its messages add nothing to ours.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if spec.isdigit():
        return cv2.VideoCapture(int(spec))
    if "!" in spec:
        return cv2.VideoCapture(spec, cv2.CAP_GSTREAMER)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 4000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 4000]
    return cv2.VideoCapture(spec, cv2.CAP_FFMPEG, limits)
