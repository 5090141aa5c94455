"""Bringing a mask from where it is stored onto another grid, and measuring what is lost on the way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ObserverUncertaintyLib.images.grid import GRID_TOLERANCE, Grid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintySlicer.segments import boundingBox
from ObserverUncertaintySlicer.volumes import gridWithAnyAxes, matrixOfGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Placement:
    """A mask on a grid.

    Attributes:
        mask: bool, shape (k, j, i).
        isResampled: whether voxels had to be looked up; false where both grids share one lattice.
        outsideMl: volume in mL of the source's voxels that lie outside the grid.
    """

    mask: NDArray[np.bool_]
    isResampled: bool = False
    outsideMl: float = 0.0


def placed(voxels: NDArray[np.bool_], ijkToRas: NDArray[np.float64], grid: Grid) -> Placement:
    """Bring a mask onto a grid: by whole voxels where both share one lattice, else to the nearest voxel.

    Args:
        voxels: bool, shape (k, j, i); it may have no voxels at all.
        ijkToRas: the 4x4 matrix from its voxel index to world RAS mm; its axes need not be perpendicular.
        grid: the wanted grid in world coordinates.
    """
    box = boundingBox(voxels)
    if box is None:
        return Placement(np.zeros(grid.shape, bool))
    outside = _outsideMl(voxels, box, ijkToRas, grid)
    shift = _wholeVoxels(box, ijkToRas, grid)
    if shift is not None:
        return Placement(_shifted(voxels, shift, grid), outsideMl=outside)
    # The scene knows no 2-D images: one slice is a volume there.
    target = Grid(grid.size, grid.spacing, grid.origin, grid.direction)
    mask = resample(voxels, gridWithAnyAxes(ijkToRas, voxels.shape[::-1]), target, "nearest")
    return Placement(mask, isResampled=True, outsideMl=outside)


def _cornersOf(box: tuple[slice, slice, slice]) -> NDArray[np.float64]:
    """The indices (i, j, k, 1) of a box's corner voxels, shape (8, 4)."""
    k, j, i = ((side.start, side.stop - 1) for side in box)
    return np.array([(*corner, 1) for corner in itertools.product(i, j, k)], float)


def _wholeVoxels(
    box: tuple[slice, slice, slice], ijkToRas: NDArray[np.float64], grid: Grid
) -> tuple[int, int, int] | None:
    """The shift in (k, j, i) that puts the voxels of a box onto the grid's, within the library's tolerance, or None."""
    target = matrixOfGrid(grid)
    corners = _cornersOf(box)
    # A box one voxel thick says nothing about an axis by its corners, so their neighbours are compared too.
    indices = np.vstack([corners, *(corners + neighbour for neighbour in np.eye(4)[:3])])
    shift = np.rint(np.linalg.solve(target, ijkToRas @ corners[0]) - corners[0])
    apart = indices @ ijkToRas.T - (indices + shift) @ target.T
    if np.linalg.norm(apart[:, :3], axis=1).max() > GRID_TOLERANCE * min(grid.spacing):
        return None
    i, j, k = shift[:3].astype(int).tolist()
    return k, j, i


def _shifted(voxels: NDArray[np.bool_], shift: tuple[int, int, int], grid: Grid) -> NDArray[np.bool_]:
    """Voxels moved by whole voxels (k, j, i) onto the grid; what leaves the grid is dropped."""
    if shift == (0, 0, 0) and voxels.shape == grid.shape:
        return voxels
    mask = np.zeros(grid.shape, bool)
    target = [
        slice(min(max(offset, 0), limit), max(min(offset + length, limit), 0))
        for offset, length, limit in zip(shift, voxels.shape, grid.shape, strict=True)
    ]
    if all(side.start < side.stop for side in target):
        source = [slice(side.start - offset, side.stop - offset) for side, offset in zip(target, shift, strict=True)]
        mask[tuple(target)] = voxels[tuple(source)]
    return mask


def _outsideMl(
    voxels: NDArray[np.bool_], box: tuple[slice, slice, slice], ijkToRas: NDArray[np.float64], grid: Grid
) -> float:
    toGrid = np.linalg.solve(matrixOfGrid(grid), ijkToRas)
    last = np.array(grid.size) - 0.5 + GRID_TOLERANCE

    def isOutside(indices: NDArray[np.float64]) -> NDArray[np.bool_]:
        places = (indices @ toGrid.T)[:, :3]
        return np.asarray(((places < -0.5 - GRID_TOLERANCE) | (places > last)).any(axis=1))

    # The grid is convex: with all corners inside, every voxel is.
    if not isOutside(_cornersOf(box)).any():
        return 0.0
    indices = np.argwhere(voxels)[:, ::-1].astype(float)
    count = int(isOutside(np.column_stack([indices, np.ones(len(indices))])).sum())
    return count * abs(float(np.linalg.det(ijkToRas[:3, :3]))) / 1000.0
