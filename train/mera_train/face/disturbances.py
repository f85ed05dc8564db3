"""Degraded test sets: blur, low resolution, low light and noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mera_train.face.data import SIZE, Faces

Face = NDArray[np.uint8]


def _blurred(face: Face, generator: np.random.Generator) -> Face:
    import cv2

    return cv2.GaussianBlur(face, (0, 0), 1.5)  # type: ignore[return-value]


def _far(face: Face, generator: np.random.Generator) -> Face:
    import cv2

    small = cv2.resize(face, (20, 20), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _dark(face: Face, generator: np.random.Generator) -> Face:
    # A tenth of the light, with amplified sensor noise.
    return _grey(face * 0.1 + generator.normal(0, 1, face.shape))


def _noisy(face: Face, generator: np.random.Generator) -> Face:
    return _grey(face + generator.normal(0, 20, face.shape))


def _glare(face: Face, generator: np.random.Generator) -> Face:
    return _grey((face / 255.0) ** 0.5 * 320)


def _half_lit(face: Face, generator: np.random.Generator) -> Face:
    lit = np.linspace(0.15, 1, face.shape[1])
    return _grey(face * (lit if generator.random() < 0.5 else lit[::-1]))


def _tilted(face: Face, generator: np.random.Generator) -> Face:
    return _moved(face, angle=20 if generator.random() < 0.5 else -20)


def _loose(face: Face, generator: np.random.Generator) -> Face:
    return _moved(face, zoom=0.8)


def _off_centre(face: Face, generator: np.random.Generator) -> Face:
    return _moved(face, shift=generator.choice([-5, 5], 2))


def _moved(
    face: Face, angle: float = 0, zoom: float = 1, shift: NDArray[np.int64] | None = None
) -> Face:
    import cv2

    middle = (SIZE / 2 - 0.5, SIZE / 2 - 0.5)
    matrix = cv2.getRotationMatrix2D(middle, angle, zoom)
    if shift is not None:
        matrix[:, 2] += shift
    return cv2.warpAffine(face, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _grey(levels: NDArray[np.floating]) -> Face:
    grey: Face = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return grey


DISTURBANCES: dict[str, tuple[Callable[[Face, np.random.Generator], Face], str]] = {
    "blurred": (_blurred, "Gaussian, sigma 1.5 of 48 pixels"),
    "far": (_far, "20 pixels wide"),
    "noisy": (_noisy, "standard deviation of 20 grey levels"),
    "dark": (_dark, "a tenth of the light, with sensor noise"),
    "glare": (_glare, "gamma 0.5, and the brightest quarter clipped"),
    "half_lit": (_half_lit, "light falls off to 15 % from one side to the other"),
    "tilted": (_tilted, "by 20 degrees"),
    "loose": (_loose, "cropped 25 % too wide"),
    "off_centre": (_off_centre, "cropped 5 of 48 pixels off centre"),
}
"""Degradation and its description, by name."""


def disturbed(faces: Faces, name: str) -> Faces:
    """Return the split with every picture degraded, deterministically."""
    generator = np.random.default_rng(0)
    disturb, _ = DISTURBANCES[name]
    return replace(faces, pictures=np.stack([disturb(face, generator) for face in faces.pictures]))
