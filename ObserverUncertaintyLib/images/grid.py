"""The voxel grid of an image: where its voxels lie in the patient, and whether two grids are the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError

GRID_TOLERANCE = 0.01
"""Corners may differ by this fraction of the smallest spacing: NIfTI and NRRD of one grid differ by micrometres."""

SHEAR_TOLERANCE = 0.1
"""Axes off the right angle are taken for rounding where that moves no corner by more than this fraction of a voxel."""

_ROUNDED = 1e-4
"""Directions may be off the length 1 by this much: files round them."""

_ROUNDED_VOLUME = 1e-6
"""A voxel's volume may be off the product of its spacing by this fraction before it counts as sheared."""


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
