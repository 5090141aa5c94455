"""The voxel grid of an image: where its voxels lie in the patient, comparing two grids, resampling between them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.errors import InputError

GRID_TOLERANCE = 0.01
"""Corners may differ by this fraction of the smallest spacing: NIfTI and NRRD of one grid differ by micrometres."""

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
        direction: the 3x3 direction matrix, row by row; its columns are the unit vectors of i, j, k.
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
            return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        if image.GetDimension() != 2:
            raise InputError(f"The image has {image.GetDimension()} axes; a 2-D image or a 3-D volume is needed.")
        a, b, c, d = image.GetDirection()
        return cls(
            (*image.GetSize(), 1),
            (*image.GetSpacing(), 1.0),
            (*image.GetOrigin(), 0.0),
            (a, b, 0.0, c, d, 0.0, 0.0, 0.0, 1.0),
            dimension=2,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (slice, row, column) = (k, j, i) of a numpy array on this grid."""
        i, j, k = self.size
        return (k, j, i)

    @property
    def voxel_volume_ml(self) -> float:
        """The volume of one voxel in mL; for a 2-D image the slice is counted as 1 mm thick."""
        return float(np.prod(self.spacing)) / 1000.0

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


def same_grid(a: Grid, b: Grid, tolerance: float = GRID_TOLERANCE) -> bool:
    """Whether two grids have the same size and every corner within `tolerance` of the smallest spacing."""
    if a.size != b.size:
        return False
    return _corner_distance(a, b) <= tolerance * _smallest_spacing(a, b)


def _corner_distance(a: Grid, b: Grid) -> float:
    return float(np.linalg.norm(a.corners() - b.corners(), axis=1).max())


def _smallest_spacing(a: Grid, b: Grid) -> float:
    # The third spacing of a 2-D image is made up.
    return min(a.spacing[: a.dimension] + b.spacing[: b.dimension])


def require_same_grid(expected: Grid, expected_name: str, found: Grid, found_name: str, advice: str) -> None:
    """Raise GridMismatchError, showing both grids, unless they are the same within the tolerance."""
    if same_grid(expected, found):
        return
    # Two grids can differ by less than the digits that are shown.
    apart = (
        f"  Their corners lie up to {_corner_distance(expected, found):.4g} mm apart; at most "
        f"{GRID_TOLERANCE * _smallest_spacing(expected, found):.4g} mm is taken as one grid.\n"
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
) -> NDArray[Any]:
    """Resample an array from one grid to another; voxels outside the source become 0.

    Args:
        array: shape (k, j, i) on `source`; bool stays bool, every other type becomes float32.
        source: the array's grid.
        target: the wanted grid.
        interpolation: "linear" for images; "nearest" or "label-gaussian" (smoother borders) for masks.
        transform: maps points of `target` to points of `source` in mm LPS; the identity if None.

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
    if transform is None:
        transform = sitk.Transform(target.dimension, sitk.sitkIdentity)
    result = sitk.GetArrayFromImage(sitk.Resample(moving, reference, transform, _INTERPOLATORS[interpolation], 0.0))
    result = result.reshape(target.shape)
    return result > 0 if is_mask else result


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
