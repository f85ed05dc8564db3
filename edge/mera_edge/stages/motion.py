"""Motion detection, so that faces are not searched again in an unchanged image."""

from __future__ import annotations

from typing import cast

import numpy as np

from mera_edge.features.face import Image

_CELLS = (64, 48)
"""Size to which images are reduced before comparison, so that pixel noise averages out."""
_MIN_DIFFERENCE = 6
"""Difference in grey levels above which a cell has changed."""
_MIN_CHANGED_CELLS = 3
"""Changed cells that count as motion: a face large enough to be detected covers more than ten."""


class MotionGate:
    """Compares images with a reference, replaced only on motion, so that slow motion adds up."""

    def __init__(self) -> None:
        self._reference: Image | None = None

    def since_kept(self, image: Image) -> bool:
        """Whether an image ``[H, W, 3]`` shows motion relative to the reference.

        If it does, it becomes the reference. The first image always counts as motion.
        """
        import cv2

        small = cv2.resize(image, _CELLS, interpolation=cv2.INTER_AREA)
        cells = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        moved = self._reference is None or bool(
            np.count_nonzero(cv2.absdiff(cells, self._reference) >= _MIN_DIFFERENCE)
            >= _MIN_CHANGED_CELLS
        )
        if moved:
            self._reference = cast(Image, cells)
        return moved
