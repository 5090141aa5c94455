"""The voxel grid of an image: where its voxels lie in the patient, comparing two grids, resampling between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.errors import InputError

GRID_TOLERANCE = 0.01
"""Corners may differ by this fraction of the smallest spacing: NIfTI and NRRD of one grid differ by micrometres."""

SHEAR_TOLERANCE = 0.1
"""Axes off the right angle are taken for rounding where that moves no corner by more than this fraction of a voxel."""

_ROUNDED = 1e-4
"""Directions may be off the length 1 by this much: files round them."""

_ROUNDED_VOLUME = 1e-6
"""A voxel's volume may be off the product of its spacing by this fraction before it counts as sheared."""

_MOST_VOXELS = 1 << 30
"""Of a grid that is enlarged to hold all raters: more would not fit into a usual computer's memory."""

_INTERPOLATORS = {
    "linear": sitk.sitkLinear,
    "nearest": sitk.sitkNearestNeighbor,
    "label-gaussian": sitk.sitkLabelGaussian,
}


class GridMismatchError(InputError):
    """Two images that must lie on one voxel grid do not."""


@dataclass(frozen=True)
class Grid:
    """Size and place of a voxel grid, in ITK's axis order (i, j, k) and LPS millimetres.

    A 2-D image is a grid of one slice with `dimension` 2, so that every array in the library has three axes.

    Attributes:
        size: number of voxels along i, j, k.
        spacing: mm between voxel centres along i, j, k.
        origin: LPS position in mm of the centre of voxel (0, 0, 0).
        direction: the 3x3 direction matrix, row by row; its columns are the unit vectors of i, j, k, which need not be
            perpendicular.
        dimension: 2 or 3, the number of axes the file has.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    dimension: int = 3

    @classmethod
    def from_sitk(cls, image: sitk.Image) -> Grid:
        """Read the grid of a 2-D or 3-D SimpleITK image."""
        if image.GetDimension() == 3:
            return _with_unit_axes(cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()))
        if image.GetDimension() != 2:
            raise InputError(f"The image has {image.GetDimension()} axes; a 2-D image or a 3-D volume is needed.")
        a, b, c, d = image.GetDirection()
        return _with_unit_axes(
            cls(
                (*image.GetSize(), 1),
                (*image.GetSpacing(), 1.0),
                (*image.GetOrigin(), 0.0),
                (a, b, 0.0, c, d, 0.0, 0.0, 0.0, 1.0),
                dimension=2,
            )
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (slice, row, column) = (k, j, i) of a numpy array on this grid."""
        i, j, k = self.size
        return (k, j, i)

    @property
    def voxel_volume_ml(self) -> float:
        """The volume of one voxel in mL; for a 2-D image the slice is counted as 1 mm thick."""
        upright = float(np.prod(self.spacing))
        sheared = abs(float(np.linalg.det(np.reshape(self.direction, (3, 3)))))
        return (upright if abs(sheared - 1) <= _ROUNDED_VOLUME else upright * sheared) / 1000.0

    @property
    def orientation(self) -> str:
        """Where i, j and k point, to the nearest patient axis, such as "LPS"."""
        code: str = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(self.direction)
        return code

    def index_to_physical(self) -> NDArray[np.float64]:
        """The 4x4 matrix from voxel index (i, j, k, 1) to LPS position (x, y, z, 1) in mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing
        matrix[:3, 3] = self.origin
        return matrix

    def corners(self) -> NDArray[np.float64]:
        """The LPS positions in mm of the eight corner voxels' centres, shape (8, 3)."""
        index = np.array(list(itertools.product(*((0, n - 1) for n in self.size))), dtype=float)
        matrix = self.index_to_physical()
        return np.asarray(index @ matrix[:3, :3].T + matrix[:3, 3])

    def to_sitk(self, array: NDArray[Any]) -> sitk.Image:
        """Put an array of shape (k, j, i) on this grid; a grid of dimension 2 gives a 2-D image."""
        if array.shape != self.shape:
            raise ValueError(f"array has shape {array.shape}, the grid {self.shape}")
        if array.dtype == bool:
            array = array.astype(np.uint8)
        if self.dimension == 2:
            image = sitk.GetImageFromArray(array[0])
            image.SetDirection([self.direction[n] for n in (0, 1, 3, 4)])
        else:
            image = sitk.GetImageFromArray(array)
            image.SetDirection(self.direction)
        image.SetSpacing(self.spacing[: self.dimension])
        image.SetOrigin(self.origin[: self.dimension])
        return image

    def describe(self) -> str:
        """One line for messages: size, spacing, origin and orientation."""
        size = " x ".join(str(n) for n in self.size[: self.dimension])
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing[: self.dimension])
        origin = ", ".join(f"{o:.2f}" for o in self.origin[: self.dimension])
        direction = ", ".join(f"{d:.3f}" for d in self.direction)
        return (
            f"{size} voxels of {spacing} mm, origin ({origin}) mm LPS, axes {self.orientation} (direction {direction})"
        )


def _with_unit_axes(grid: Grid) -> Grid:
    """The same grid, with what its direction's columns are longer or shorter than 1 moved into the spacing."""
    axes = np.reshape(grid.direction, (3, 3))
    lengths = np.linalg.norm(axes, axis=0)
    if np.abs(lengths - 1).max() <= _ROUNDED:
        return grid
    return replace(
        grid,
        spacing=tuple((lengths * grid.spacing).tolist()),
        direction=tuple((axes / lengths).ravel().tolist()),
    )


def straightened(grid: Grid) -> Grid:
    """The nearest grid whose axes are perpendicular, with its voxel (0, 0, 0) in the same place."""
    left, _, right = np.linalg.svd(np.reshape(grid.direction, (3, 3)))
    return replace(grid, direction=tuple((left @ right).ravel().tolist()))


def shear(grid: Grid) -> float:
    """How far a corner moves if the axes are made perpendicular, as a fraction of the smallest spacing."""
    return corner_distance(grid, straightened(grid)) / smallest_spacing(grid)


def same_grid(a: Grid, b: Grid, tolerance: float = GRID_TOLERANCE) -> bool:
    """Whether two grids have the same size and every corner within `tolerance` of the smallest spacing."""
    if a.size != b.size:
        return False
    return corner_distance(a, b) <= tolerance * smallest_spacing(a, b)


def corner_distance(a: Grid, b: Grid) -> float:
    """The largest distance in mm between the same corners of two grids."""
    return float(np.linalg.norm(a.corners() - b.corners(), axis=1).max())


def smallest_spacing(*grids: Grid) -> float:
    """The smallest distance in mm between neighbouring voxels of the grids."""
    # The third spacing of a 2-D image is made up.
    return min(spacing for grid in grids for spacing in grid.spacing[: grid.dimension])


def require_same_grid(expected: Grid, expected_name: str, found: Grid, found_name: str, advice: str) -> None:
    """Raise GridMismatchError, showing both grids, unless they are the same within the tolerance."""
    if same_grid(expected, found):
        return
    # Two grids can differ by less than the digits that are shown.
    apart = (
        f"  Their corners lie up to {corner_distance(expected, found):.4g} mm apart; at most "
        f"{GRID_TOLERANCE * smallest_spacing(expected, found):.4g} mm is taken as one grid.\n"
        if expected.size == found.size
        else ""
    )
    raise GridMismatchError(
        f"{found_name} lies on another voxel grid than {expected_name}.\n"
        f"  {expected_name}: {expected.describe()}\n"
        f"  {found_name}: {found.describe()}\n"
        f"{apart}{advice}"
    )


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
    if is_mask and transform is None and _same_lattice(source, target):
        interpolation = "nearest"
    if transform is None:
        transform = sitk.Transform(target.dimension, sitk.sitkIdentity)
    result = sitk.GetArrayFromImage(sitk.Resample(moving, reference, transform, _INTERPOLATORS[interpolation], outside))
    result = result.reshape(target.shape)
    return result > 0 if is_mask else result


def _same_lattice(a: Grid, b: Grid) -> bool:
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


_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


@dataclass(frozen=True)
class Reorientation:
    """An exact change of axes (permutation and flips) between two grids of the same voxels.

    Attributes:
        source: the grid as it came.
        target: the same voxels with i, j, k pointing where the code asked, such as "LPS".
    """

    source: Grid
    target: Grid
    _permutation: tuple[int, ...]  # source axis of each target axis, both as (i, j, k)
    _flipped: tuple[bool, ...]  # whether each target axis runs against its source axis

    @classmethod
    def to(cls, grid: Grid, code: str) -> Reorientation:
        """Find the change of axes that makes i, j, k of `grid` point along the letters of `code`.

        For oblique grids the nearest patient axis counts, as in `Grid.orientation`.
        """
        letters = grid.orientation
        permutation = tuple(
            next(axis for axis, found in enumerate(letters) if found in (wanted, _OPPOSITE[wanted])) for wanted in code
        )
        flipped = tuple(letters[axis] != wanted for axis, wanted in zip(permutation, code, strict=True))
        return cls(grid, _changed_axes(grid, permutation, flipped), permutation, flipped)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of an array (k, j, i) on the source grid as an array on the target grid."""
        # Array axes run (k, j, i): axis i of the grid is the last axis of the array.
        axes = [2 - axis for axis in reversed(self._permutation)]
        return np.flip(array.transpose(axes), self._flipped_array_axes())

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of an array on the target grid as an array on the source grid."""
        axes = [2 - axis for axis in reversed(self._permutation)]
        return np.flip(array, self._flipped_array_axes()).transpose(np.argsort(axes))

    def _flipped_array_axes(self) -> tuple[int, ...]:
        return tuple(2 - axis for axis in range(3) if self._flipped[axis])


def _changed_axes(grid: Grid, permutation: tuple[int, ...], flipped: tuple[bool, ...]) -> Grid:
    matrix = grid.index_to_physical()
    origin = np.array(grid.origin)
    columns = np.reshape(grid.direction, (3, 3))[:, list(permutation)]
    for axis, source_axis in enumerate(permutation):
        if flipped[axis]:
            origin = origin + matrix[:3, source_axis] * (grid.size[source_axis] - 1)
            columns[:, axis] = -columns[:, axis]
    a, b, c = (int(n) for n in permutation)
    return Grid(
        size=(grid.size[a], grid.size[b], grid.size[c]),
        spacing=(grid.spacing[a], grid.spacing[b], grid.spacing[c]),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(d) for d in columns.ravel()),
    )
