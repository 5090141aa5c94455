"""Shapes with a closed form: which points lie in them, and their contours in a plane of a voxel grid.

Size and place of the seven solids are those of the public conformance test brianmanderson/RTMaskConformanceTest; the
truth is, as there, a voxel of which half or more lies inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid

_CORNERS = 64
_SAMPLES = 8


@dataclass(frozen=True)
class Solid:
    """A body in a space of its own, z being its axis.

    Attributes:
        centre: in mm.
        reach: half its height along z, in mm.
        inside: whether offsets (x, y, z) from the centre lie inside.
        circles: for a height z, the half axes (x, y) of its outlines; the first is the outer one.
        is_box: whether the outlines are rectangles.
    """

    centre: tuple[float, float, float]
    reach: float
    inside: Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]
    outlines: Callable[[float], list[tuple[float, float]]]
    is_box: bool = False

    def polygons(self, z: float) -> list[NDArray[np.float64]]:
        """The outlines at a height in mm, as corners (x, y, z); none where the body is not, or thinner than 1 mm."""
        if abs(z - self.centre[2]) > self.reach:
            return []
        angles = np.linspace(0, 2 * np.pi, 4 if self.is_box else _CORNERS, endpoint=False) + np.pi / 4 * self.is_box
        stretch = np.sqrt(2) if self.is_box else 1.0
        found = []
        for a, b in self.outlines(z - self.centre[2]):
            if max(a, b) < 1.0:
                continue
            x, y = self.centre[0] + stretch * a * np.cos(angles), self.centre[1] + stretch * b * np.sin(angles)
            found.append(np.column_stack([x, y, np.full_like(x, z)]))
        return found


def _round(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * x + y * y + z * z


def _disc(half: float, a: float = 1.0, b: float = 1.0) -> Callable[[float], list[tuple[float, float]]]:
    def outlines(z: float) -> list[tuple[float, float]]:
        size = float(np.sqrt(max(0.0, 1 - (z / half) ** 2)))
        return [(a * size, b * size)]

    return outlines


def _torus(z: float) -> list[tuple[float, float]]:
    if abs(z) >= 20:
        return []
    offset = float(np.sqrt(max(0.0, 400 - z * z)))
    return [(60 + offset, 60 + offset), (60 - offset, 60 - offset)]


def _hollow(z: float) -> list[tuple[float, float]]:
    inner = [float(np.sqrt(400 - z * z))] if abs(z) < 20 else []
    return [(radius, radius) for radius in [float(np.sqrt(max(0.0, 1600 - z * z))), *inner]]


SOLIDS = {
    "sphere": Solid((256, 256, 100), 40, lambda x, y, z: _round(x, y, z) <= 1600, _disc(40, 40, 40)),
    "cube": Solid(
        (100.5, 100.5, 100.5),
        30,
        lambda x, y, z: np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= 30,
        lambda _z: [(30, 30)],
        is_box=True,
    ),
    "cylinder": Solid(
        (400, 100, 100.5), 40, lambda x, y, z: (x * x + y * y <= 900) & (abs(z) <= 40), lambda _z: [(30, 30)]
    ),
    "ellipsoid": Solid((100, 400, 100), 60, lambda x, y, z: _round(x / 30, y / 50, z / 60) <= 1, _disc(60, 30, 50)),
    "torus": Solid((400, 400, 100), 20, lambda x, y, z: (np.hypot(x, y) - 60) ** 2 + z * z <= 400, _torus),
    "hollow_sphere": Solid(
        (256, 100, 100), 40, lambda x, y, z: (_round(x, y, z) <= 1600) & (_round(x, y, z) > 400), _hollow
    ),
    "straw": Solid(
        (256, 400, 100.5),
        60,
        lambda x, y, z: (x * x + y * y <= 1600) & (x * x + y * y > 400) & (abs(z) <= 60),
        lambda _z: [(40, 40), (20, 20)],
    ),
}


def truth(solid: Solid, grid: Grid, to_solid: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The voxels of which half or more lie inside, by 8 x 8 x 8 points each; shape (k, j, i).

    Args:
        solid: the body.
        grid: the voxel grid.
        to_solid: the 4x4 matrix from voxel index (i, j, k, 1) to the body's space in mm.
    """
    centre = np.linalg.solve(to_solid, [*solid.centre, 1])[:3]
    # No body reaches further than this from its centre.
    reach = 90 / np.linalg.norm(to_solid[:3, :3], axis=0) + 2
    low = np.clip(np.floor(centre - reach), 0, grid.size).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, grid.size).astype(int)

    def inside(i: NDArray[np.float64], j: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y, z = (row[0] * i + row[1] * j + row[2] * k + row[3] for row in to_solid[:3])
        return solid.inside(x - solid.centre[0], y - solid.centre[1], z - solid.centre[2])

    # Only voxels whose corners lie on both sides need a closer look.
    i, j, k = np.meshgrid(*(np.arange(a, b + 1) - 0.5 for a, b in zip(low, high, strict=True)), indexing="ij")
    corners = inside(i, j, k).astype(np.int8)
    count = np.sum(
        [
            corners[a : a + len(i) - 1, b : b + i.shape[1] - 1, c : c + i.shape[2] - 1]
            for a in (0, 1)
            for b in (0, 1)
            for c in (0, 1)
        ],
        axis=0,
    )
    found = np.asarray(count == 8)
    edge = np.argwhere((count > 0) & (count < 8))
    offsets = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    share = np.zeros(len(edge))
    for di in offsets:
        for dj in offsets:
            for dk in offsets:
                share += inside(*(edge + low + [di, dj, dk]).T)
    found[tuple(edge.T)] = share >= _SAMPLES**3 / 2
    mask = np.zeros(grid.shape, bool)
    mask[low[2] : high[2], low[1] : high[1], low[0] : high[0]] = found.transpose(2, 1, 0)
    return mask
