"""From one voxel grid to another: resampling, and what of a mask another grid does not hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import GRID_TOLERANCE, Grid, GridMismatchError

_MOST_VOXELS = 1 << 30
"""Of a grid that is enlarged to hold all raters: more would not fit into a usual computer's memory."""

_INTERPOLATORS = {
    "linear": sitk.sitkLinear,
    "nearest": sitk.sitkNearestNeighbor,
    "label-gaussian": sitk.sitkLabelGaussian,
}


def resample(
    array: NDArray[Any],
    source: Grid,
    target: Grid,
    interpolation: str,
    transform: sitk.Transform | None = None,
    outside: float = 0.0,
) -> NDArray[Any]:
    """Resample an array from one grid to another.

    Args:
        array: shape (k, j, i) on `source`; bool stays bool, every other type becomes float32.
        source: the array's grid.
        target: the wanted grid.
        interpolation: "linear" for images; "nearest" or "label-gaussian" (smoother borders) for masks. A mask whose
            voxels are the target's, in another order of axes or in a part of it, is taken over as it is.
        transform: maps points of `target` to points of `source` in mm LPS; the identity if None.
        outside: value of the voxels that the source does not cover.

    Returns:
        The array on the target grid, shape (k, j, i).
    """
    is_mask = array.dtype == bool
    if is_mask == (interpolation == "linear"):
        raise ValueError(f"{interpolation} interpolation is not meant for {array.dtype}")
    if source.dimension != target.dimension:
        raise GridMismatchError(
            f"A {source.dimension}-D image cannot be resampled to a {target.dimension}-D one.\n"
            f"  from: {source.describe()}\n  to: {target.describe()}"
        )
    moving = source.to_sitk(array if is_mask else array.astype(np.float32))
    reference = target.to_sitk(np.zeros(target.shape, np.uint8))
    if is_mask and transform is None and same_lattice(source, target):
        interpolation = "nearest"
    if transform is None:
        transform = sitk.Transform(target.dimension, sitk.sitkIdentity)
    result = sitk.GetArrayFromImage(sitk.Resample(moving, reference, transform, _INTERPOLATORS[interpolation], outside))
    result = result.reshape(target.shape)
    return result > 0 if is_mask else result


def same_lattice(a: Grid, b: Grid) -> bool:
    """Whether voxels of one grid coincide with voxels of the other, as if both continued without end."""
    between = np.linalg.solve(b.index_to_physical(), a.index_to_physical())
    whole = np.rint(between)
    axes = np.abs(whole[:3, :3])
    if not ((axes.sum(axis=0) == 1).all() and (axes.sum(axis=1) == 1).all()):
        return False
    return bool(np.abs(_corner_indices(a.size) @ (between - whole).T).max() <= GRID_TOLERANCE)


def _corner_indices(size: tuple[int, ...], margin: float = 0.0) -> NDArray[np.float64]:
    """The indices (i, j, k, 1) of a box's corners, shape (8, 4)."""
    sides = ((-margin, n - 1 + margin) for n in size)
    return np.array([(*corner, 1) for corner in itertools.product(*sides)], float)


def uncovered_share(source: Grid, target: Grid, transform: sitk.Transform | None = None) -> float:
    """The fraction of a grid's voxels that lie outside another; `transform` as for `resample`."""
    return 1.0 - float(resample(np.ones(source.shape, bool), source, target, "nearest", transform).mean())


def outside_ml(mask: NDArray[np.bool_], source: Grid, target: Grid) -> float:
    """The volume in mL of a mask's voxels that lie outside another grid.

    Args:
        mask: bool, shape (k, j, i).
        source: the mask's grid.
        target: the other grid.
    """
    indices = np.argwhere(mask)[:, ::-1]
    to_target = np.linalg.solve(target.index_to_physical(), source.index_to_physical())
    places = indices @ to_target[:3, :3].T + to_target[:3, 3]
    reach = 0.5 + GRID_TOLERANCE
    outside = ((places < -reach) | (places > np.array(target.size) - 1 + reach)).any(axis=1)
    return int(outside.sum()) * source.voxel_volume_ml


def covering(grid: Grid, masks: Iterable[tuple[NDArray[np.bool_], Grid]]) -> Grid:
    """A grid, enlarged by whole voxels where that is needed to hold all voxels of masks on other grids.

    Args:
        grid: the grid to enlarge.
        masks: bool, shape (k, j, i), each with its grid.

    Raises:
        InputError: the grid would become larger than a computer's memory, since a mask lies far away.
    """
    low, high = np.zeros(3), np.array(grid.size) - 1.0
    for mask, source in masks:
        if outside_ml(mask, source, grid) == 0.0:
            continue
        drawn = np.argwhere(mask)[:, ::-1]
        first = drawn.min(axis=0)
        corners = _corner_indices(tuple(drawn.max(axis=0) - first + 1), margin=0.5)
        places = np.add(corners, [*first, 0]) @ np.linalg.solve(grid.index_to_physical(), source.index_to_physical()).T
        low = np.minimum(low, np.ceil(places.min(axis=0)[:3] + GRID_TOLERANCE))
        high = np.maximum(high, np.floor(places.max(axis=0)[:3] - GRID_TOLERANCE))
    if grid.dimension == 2:
        low[2], high[2] = 0, 0
    if not low.any() and (high == np.array(grid.size) - 1).all():
        return grid
    i, j, k = (int(n) for n in high - low + 1)
    if i * j * k > _MOST_VOXELS:
        raise InputError(
            f"The masks lie so far apart that a grid of {i} x {j} x {k} voxels would be needed to hold all; expected "
            "masks of one patient and one place. Check that they belong together."
        )
    x, y, z = (grid.index_to_physical() @ [*low, 1])[:3].tolist()
    return replace(grid, size=(i, j, k), origin=(x, y, z))
