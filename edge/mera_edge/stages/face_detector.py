"""Where the faces are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import EngineError
from mera_edge.features.face import Box, Image, cut

SEARCH_SIDE = 320
"""Longest side, in pixels, of the picture that is searched for faces: a face is found from about
a tenth of the picture's longest side on."""
SMALLEST = 32
"""Smallest face that is looked for in it, in pixels."""

FOLLOW_SIDE = 96
"""Side of the square around a known face that is searched for where it has moved."""
_AROUND = 1.6
"""Side of that square over the face's."""

_NESTED = 0.5
"""A box is the same face as a larger one when they share this part of it."""


class Finder(Protocol):
    """Looks for faces in a small picture."""

    def find(
        self, image: Image, smallest: float, largest: float, known: bool
    ) -> Iterator[list[Box]]:
        """Yield squares from brow to chin, framed as the encoder's training pictures are.

        The work is done in steps that take about the same time: whoever has little of it goes on
        later. All but the last step yield nothing but an empty list.

        Args:
            image: ``[H, W, 3]`` blue first.
            smallest: side of the smallest square that is looked for, in pixels.
            largest: of the largest.
            known: whether a face was there a moment ago: weaker signs are enough then.
        """


class FaceDetector:
    """Searches whole pictures, and follows a known face at a tenth of the cost."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    def search(self, image: Image) -> list[Box]:
        """Return all faces in a picture of any size, largest first, in its pixels."""
        return [box for step in self.search_in_steps(image) for box in step]

    def search_in_steps(self, image: Image, side: int = SEARCH_SIDE) -> Iterator[list[Box]]:
        """Do as `search` does, a step at a time; the faces come with the last one.

        Args:
            image: ``[H, W, 3]`` blue first.
            side: longest side, in pixels, that it is brought to first: a smaller one is faster
                and misses smaller faces.
        """
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale < 1:
            image = cast(Image, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        for found in self._finder.find(image, SMALLEST, max(size), known=False):
            yield largest_first(
                [Box(b.x / scale, b.y / scale, b.width / scale, b.height / scale) for b in found]
            )

    def follow(self, image: Image, box: Box) -> Box | None:
        """Return where a face that was at ``box`` a moment ago is now, ``None`` when it is gone."""
        import cv2

        around = box.grown(_AROUND)
        scale = FOLLOW_SIDE / around.width
        region = cut(image, around)
        small = cast(Image, cv2.resize(region, (FOLLOW_SIDE,) * 2, interpolation=cv2.INTER_AREA))
        side = box.width * scale
        found = self._finder.find(small, side * 0.7, side * 1.4, known=True)
        moved = [
            Box(around.x + b.x / scale, around.y + b.y / scale, b.width / scale, b.height / scale)
            for step in found
            for b in step
        ]
        return max(moved, key=box.overlap, default=None)


def largest_first(boxes: list[Box]) -> list[Box]:
    """Sort by size and drop boxes that lie in a larger one."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.area):
        if all(box.shared(larger) < _NESTED * box.area for larger in kept):
            kept.append(box)
    return kept


class Cascade:
    """The Haar cascade that comes with OpenCV 4: frontal faces only."""

    _MARGIN = 1.06
    """Eyes and mouth then lie where they do in FER+ (medians 0.39 and 0.75 of the height)."""

    _STEPS = (48, 76)
    """Sides, in pixels, up to which looking for faces takes a third of a search, and two."""

    def __init__(self) -> None:
        import cv2

        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise EngineError(f"OpenCV cannot load {path}", "install opencv-python-headless<5")

    def find(
        self, image: Image, smallest: float, largest: float, known: bool
    ) -> Iterator[list[Box]]:
        import cv2

        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        low, high = int(smallest), int(largest)
        # A part without a size that the cascade knows would be searched for the nearest one.
        inside = [cut for cut in self._STEPS if not known and 1.2 * low <= cut <= high / 1.2]
        cuts = [low - 1, *inside, high]
        found: list[Sequence[int]] = []
        for step, (below, top) in enumerate(pairwise(cuts)):
            if step:
                yield []
            found += self._hits(grey, below + 1, top)
        # As the cascade itself groups its hits (`detectMultiScale` with this ``minNeighbors``).
        boxes, _ = cv2.groupRectangles(found, 3 if known else 6, 0.2)
        yield [Box(*map(float, box)).grown(self._MARGIN) for box in boxes]

    def _hits(self, grey: NDArray[Any], low: int, high: int) -> list[Sequence[int]]:
        """Return all squares with sides from ``low`` to ``high`` that look like a face."""
        return list(
            self._cascade.detectMultiScale(
                grey,
                scaleFactor=1.15,
                minNeighbors=0,
                minSize=(low,) * 2,
                maxSize=(high,) * 2,
            )
        )


class YuNet:
    """OpenCV's neural detector (Wu et al., 2023): side views too, several times faster.

    Raises:
        EngineError: OpenCV cannot load the model.
    """

    _SURE, _LIKELY = 0.7, 0.5
    """Confidence that a new face and a known one must reach."""

    def __init__(self, model: Path) -> None:
        import cv2

        try:
            self._detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), self._LIKELY)
            # A model of another kind is noticed only when it runs.
            self._detector.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise EngineError(
                f"OpenCV cannot load the face detector {model} ({error})",
                "pull the fixed-size YuNet model: OpenCV 4 does not read the other one",
            ) from error

    def find(
        self, image: Image, smallest: float, largest: float, known: bool
    ) -> Iterator[list[Box]]:
        height, width = image.shape[:2]
        self._detector.setInputSize((width, height))
        _, found = self._detector.detect(image)
        confidence = self._LIKELY if known else self._SURE
        squares = [
            _square(*map(float, row[:4]))
            for row in (() if found is None else found)
            if row[-1] >= confidence
        ]
        yield [box for box in squares if smallest <= box.width <= largest]


def _square(x: float, y: float, width: float, height: float) -> Box:
    # YuNet's boxes are narrow; their height is the side of FER+'s pictures (median 0.99).
    return Box(x + (width - height) / 2, y, height, height)


def face_detector(bundle: Bundle) -> FaceDetector:
    """Return the bundle's detector, or the one that comes with OpenCV when it has none.

    Raises:
        EngineError: it cannot be loaded.
    """
    if bundle.has("face_detector"):
        return FaceDetector(YuNet(bundle.role("face_detector").path()))
    return FaceDetector(Cascade())
