"""Whether anything moved: where nothing did, a second look finds what the first one found."""

from __future__ import annotations

from typing import cast

import numpy as np

from mera_edge.features.face import Image

_CELLS = (64, 48)
"""The picture is compared cell by cell, so that the noise of its pixels averages out."""
_CHANGED = 6
"""Grey levels by which a cell has changed for certain."""
_ENOUGH = 3
"""Changed cells that are motion: a face that can be found covers more than ten."""


class MotionGate:
    """Compares pictures with one that was kept, so that slow motion adds up."""

    def __init__(self) -> None:
        self._kept: Image | None = None

    def since_kept(self, image: Image) -> bool:
        """Whether anything in ``[H, W, 3]`` is elsewhere than in the picture kept last.

        What moved is kept from then on; without a picture to compare with everything moved.
        """
        import cv2

        small = cv2.resize(image, _CELLS, interpolation=cv2.INTER_AREA)
        cells = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        moved = self._kept is None or bool(
            np.count_nonzero(cv2.absdiff(cells, self._kept) >= _CHANGED) >= _ENOUGH
        )
        if moved:
            self._kept = cast(Image, cells)
        return moved
