"""Distances in mm between the surfaces of masks: how far, and not only how much, two contours differ.

The surface lies between the voxels: its pieces are the corners where eight voxels meet that are not all of one kind,
each with the area that the surface has there. Beyond the image's edge lies background, except along an axis with one
voxel: there the image goes on as it is.

Source: Nikolov et al., J. Med. Internet Res. 23(7), 2021, and the authors' `surface-distance`, with the loops of
Lorensen and Cline, SIGGRAPH 1987 (marching cubes) between the voxels' centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ObserverUncertaintyLib.images.grid import Grid

_ROUNDED_MM = 1e-4
"""Files round the spacing: a surface at 1 mm is within a tolerance of 1 mm also where they say 1.000001."""

_CORNERS = tuple(product((0, 1), repeat=3))
_IN_PLANE = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Surface:
    """A mask's surface in pieces.

    Attributes:
        points: indices (k, j, i) of the pieces, shape (n, 3): n stands for the corner between the voxels n - 1 and n.
        areas: area of each in mm², shape (n,).
        spacing: of the voxels in mm, in the order of the array's axes.
    """

    points: NDArray[np.intp]
    areas: NDArray[np.float64]
    spacing: tuple[float, ...]

    @classmethod
    def of(cls, mask: Mask, grid: Grid) -> Surface:
        """Find the surface of a mask, bool, shape (k, j, i), on a grid, whose axes are taken as perpendicular."""
        spacing, box = grid.spacing[::-1], _box(mask)
        if box[0].stop == 0:
            return cls(np.zeros((0, 3), np.intp), np.zeros(0), spacing)
        code = _neighbours(mask, box)
        points = np.argwhere((code > 0) & (code < 255))
        areas = _areas(spacing)[code[tuple(points.T)]]
        return cls(points + [part.start for part in box], areas, spacing)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points * self.spacing)

    def distances_to(self, other: Surface) -> NDArray[np.float64]:
        """Distance in mm from each of its pieces to the nearest one of another surface, which must have some."""
        found, _nearest = other._tree.query(self.points * self.spacing)
        return np.asarray(found, np.float64)


@dataclass(frozen=True)
class SurfaceDistances:
    """How far two masks' surfaces lie apart. If a mask is empty, distances are NaN, and the surface Dice is 0 or NaN.

    Attributes:
        first, second: the surfaces.
        from_first: distance in mm from each piece of the first surface to the nearest one of the second, shape (n,).
        from_second: the same from the second to the first.
    """

    first: Surface
    second: Surface
    from_first: NDArray[np.float64]
    from_second: NDArray[np.float64]

    @classmethod
    def of(cls, first: Surface, second: Surface) -> SurfaceDistances:
        """Measure in both directions."""
        if not len(first.points) or not len(second.points):
            return cls(first, second, np.full(len(first.points), np.nan), np.full(len(second.points), np.nan))
        return cls(first, second, first.distances_to(second), second.distances_to(first))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of both surfaces that lies within a tolerance of the other: 0 if one mask is empty, NaN if both are."""
        distances, areas = self._together
        if not len(distances):
            return float("nan")
        return float(areas[distances <= tolerance_mm + _ROUNDED_MM].sum() / areas.sum())

    def hausdorff(self, percent: float = 95.0) -> float:
        """The larger of the two distances in mm within which so much of a surface lies; of 100 % the Hausdorff one.

        Source: Huttenlocher et al., IEEE TPAMI 15(9), 1993 (partial Hausdorff distance).
        """
        if self._is_undefined:
            return float("nan")
        return max(
            _weighted_percentile(self.from_first, self.first.areas, percent),
            _weighted_percentile(self.from_second, self.second.areas, percent),
        )

    def average(self) -> float:
        """Average surface distance in mm over both surfaces together (symmetric)."""
        distances, areas = self._together
        return float("nan") if self._is_undefined else float(np.average(distances, weights=areas))

    @property
    def _is_undefined(self) -> bool:
        return not len(self.from_first) or not len(self.from_second)

    @property
    def _together(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All distances, and the areas that they stand for."""
        return (
            np.concatenate([self.from_first, self.from_second]),
            np.concatenate([self.first.areas, self.second.areas]),
        )


def added_path_length(wanted: Mask, found: Mask, grid: Grid) -> float:
    """Length in mm of the outline that must be drawn, slice by slice, to turn a contour into the one that is wanted.

    Args:
        wanted: the mask that is to come out, bool, shape (k, j, i).
        found: the mask that is there, same shape.
        grid: theirs; slices lie across the first axis of the array.

    Returns:
        The number of outline pixels of `wanted` that are none of `found`, each as long as the geometric mean of the
        in-plane spacing; 0 if nothing is wanted.

    Source: Vaassen et al., Phys. Imaging Radiat. Oncol. 13, 2020 (added path length, without a tolerance).
    """
    # With a border: what is wanted decides at the edge of the box, and what is there may go on beyond it.
    box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in _box(wanted))
    outlines = [mask[box] & ~ndimage.binary_erosion(mask[box], _IN_PLANE) for mask in (wanted, found)]
    missing = int(np.count_nonzero(outlines[0] & ~outlines[1]))
    return missing * float(np.sqrt(grid.spacing[0] * grid.spacing[1]))


def _box(mask: Mask) -> tuple[slice, ...]:
    """The bounding box of a mask; without voxels if it is empty."""
    found = ndimage.find_objects(mask.view(np.uint8), 1)
    return found[0] if found and found[0] is not None else (slice(0, 0),) * mask.ndim


def _neighbours(mask: Mask, box: tuple[slice, ...]) -> NDArray[np.uint8]:
    """For each corner around the voxels of a box the eight voxels that meet there, as the bits of a number."""
    around = mask[box]
    for axis, size in enumerate(mask.shape):
        border = [(0, 0)] * 3
        border[axis] = (1, 0) if size == 1 else (1, 1)
        around = np.pad(around, border, mode="edge" if size == 1 else "constant")
    code = np.zeros([size - 1 for size in around.shape], np.uint8)
    for bit, corner in enumerate(_CORNERS):
        here = tuple(slice(at, size - 1 + at) for at, size in zip(corner, around.shape, strict=True))
        code |= around[here].astype(np.uint8) << np.uint8(bit)
    return code


@lru_cache
def _areas(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Area in mm² of the surface between eight voxels, shape (256,)."""
    faces = np.prod(spacing) / np.array(spacing)
    return np.array([sum(np.linalg.norm(loop * faces) for loop in loops) for loops in _loops()], np.float64)


@cache
def _loops() -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """For each of the 256 ways in which eight voxels are marked, the vector areas of the loops around the marked ones.

    On each face of the cube between the eight centres a line leads around each run of marked corners, from the middle
    of one edge to that of another; on the six faces together the lines are closed loops.
    """
    faces = []
    for axis in range(3):
        for side in (0, 1):
            turn = [(0, 0), (1, 0), (1, 1), (0, 1)][:: 1 if side else -1]  # seen from outside always the same way round
            faces.append([_corner(axis, side, *others) for others in turn])
    found = []
    for code in range(256):
        marked = {corner for bit, corner in enumerate(_CORNERS) if code >> bit & 1}
        lines: dict[tuple[float, ...], tuple[float, ...]] = {}
        for face in faces:
            edges = [(corner, face[(n + 1) % 4]) for n, corner in enumerate(face)]
            for n, (outside, first) in enumerate(edges):
                if outside in marked or first not in marked:
                    continue
                leaving = next(edge for edge in (edges * 2)[n + 1 :] if edge[1] not in marked)
                lines[_middle(outside, first)] = _middle(*leaving)
        loops = []
        while lines:
            start, at = lines.popitem()
            loop = [start]
            while at != start:
                loop.append(at)
                at = lines.pop(at)
            corners = np.array(loop)
            loops.append(np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0) / 2)
        found.append(tuple(loops))
    return tuple(found)


def _corner(axis: int, side: int, *others: int) -> tuple[int, ...]:
    corner = [0, 0, 0]
    corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = side, *others
    return tuple(corner)


def _middle(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[float, ...]:
    return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))


def _weighted_percentile(values: NDArray[np.float64], weights: NDArray[np.float64], percent: float) -> float:
    """The smallest value up to which the values have so much of the weight."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    at = np.searchsorted(reached, percent / 100 * reached[-1] * (1 - 1e-12))
    return float(values[order[min(int(at), len(order) - 1)]])
